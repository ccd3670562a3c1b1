#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>
