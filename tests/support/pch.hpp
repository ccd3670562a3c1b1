#pragma once

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>
