#pragma once

namespace ringdown {

/// Stops the program with one line on standard error; for caller bugs only, in every build type.
[[noreturn]] void misuse(const char* what_and_what_instead) noexcept;

inline void require(bool holds, const char* what_and_what_instead) noexcept {
    if (!holds) [[unlikely]]
        misuse(what_and_what_instead);
}

} // namespace ringdown
