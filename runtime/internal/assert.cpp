#include <ringdown/runtime/internal/assert.hpp>

#include <cstdio>
#include <cstdlib>

namespace ringdown {

void misuse(const char* what_and_what_instead) noexcept {
    std::fprintf(stderr, "ringdown: %s\n", what_and_what_instead);
    std::abort();
}

} // namespace ringdown
