#pragma once

#include <cstddef>
#include <cstdint>

#include <msgpack.hpp>

namespace rpc {

/// Why a message is not taken.
enum class flaw : std::uint8_t { none, malformed, too_large, too_deep };

/// Follows a value that arrives, without keeping it, and notices what exceeds the limits.
class bounds : public msgpack::null_visitor {
public:
    /// Deepest nesting of arrays and maps that is taken.
    static constexpr std::size_t depth_max = 64;

    explicit bounds(std::uint64_t bytes_max) noexcept : bytes_max_(bytes_max) {}

    [[nodiscard]] flaw found() const noexcept { return flaw_; }

    // What the parser calls, at the beginning of each value and as it goes.
    void init() noexcept {
        values_ = 0;
        depth_ = 0;
    }
    bool start_array(std::uint32_t size) noexcept { return enter(size); }
    bool start_map(std::uint32_t size) noexcept { return enter(2 * std::uint64_t{size}); }
    bool end_array() noexcept { return leave(); }
    bool end_map() noexcept { return leave(); }
    void parse_error(std::size_t, std::size_t) noexcept { flaw_ = flaw::malformed; }

private:
    // A value takes at least one byte: an announcement of more of them than fit is refused at once.
    bool enter(std::uint64_t values) noexcept {
        values_ += values;
        if (values_ > bytes_max_)
            flaw_ = flaw::too_large;
        else if (++depth_ > depth_max)
            flaw_ = flaw::too_deep;
        return flaw_ == flaw::none;
    }
    bool leave() noexcept {
        --depth_;
        return true;
    }

    std::uint64_t bytes_max_;
    std::uint64_t values_ = 0; // announced by the arrays and maps of this message
    std::size_t depth_ = 0;
    flaw flaw_ = flaw::none;
};

/// Would be told of buffers that values refer to; none does.
struct no_references {
    void operator()(char*) const noexcept {}
};

/// Finds the ends of messages in what arrives.
class scanner : public msgpack::parser<scanner, no_references> {
public:
    scanner(std::uint64_t bytes_max, std::size_t buffer_bytes)
        : parser(hook_, buffer_bytes), bounds_(bytes_max) {}

    [[nodiscard]] flaw found() const noexcept { return bounds_.found(); }

    // For the parser.
    bounds& visitor() noexcept { return bounds_; }
    [[nodiscard]] bool referenced() const noexcept { return false; }
    void set_referenced(bool) noexcept {}

private:
    no_references hook_;
    bounds bounds_;
};

} // namespace rpc
