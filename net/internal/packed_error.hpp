#pragma once

#include <cstdint>

#include <ringdown/runtime/error.hpp>

namespace ringdown {

/// An error of this library or of the system in eight bytes, half of what `std::error_code` takes.
class packed_error {
public:
    packed_error() noexcept = default;
    packed_error(std::error_code error) noexcept : value_(error.value()) {
        if (error) [[unlikely]] // the categories are found by calls
            of_ = of(error.category());
    }

    explicit operator bool() const noexcept { return value_ != 0; }
    operator std::error_code() const noexcept {
        if (value_ == 0) [[likely]]
            return {};
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

    static category of(const std::error_category& which) noexcept {
        if (which == error_category()) return category::ringdown;
        return which == std::generic_category() ? category::generic : category::system;
    }

    int value_ = 0;
    category of_ = category::system;
};

} // namespace ringdown
