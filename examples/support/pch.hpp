#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <ringdown/ringdown.hpp>
