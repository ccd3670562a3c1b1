#pragma once

#include <cstdint>

#include <ringdown/runtime/error.hpp>

namespace ringdown {

/// An error of this library or of the system in eight bytes, half of what `std::error_code` takes.
class packed_error {
public:
    packed_error() noexcept = default;
    packed_error(std::error_code error) noexcept : value_(error.value()) {
        if (error.category() == error_category())
            of_ = category::ringdown;
        else if (error.category() == std::generic_category())
            of_ = category::generic;
    }

    explicit operator bool() const noexcept { return value_ != 0; }
    operator std::error_code() const noexcept {
        switch (of_) {
        case category::ringdown:
            return {value_, error_category()};
        case category::generic:
            return {value_, std::generic_category()};
        case category::system:
            break;
        }
        return {value_, std::system_category()};
    }

private:
    enum class category : std::uint8_t { system, generic, ringdown };

    int value_ = 0;
    category of_ = category::system;
};

} // namespace ringdown
