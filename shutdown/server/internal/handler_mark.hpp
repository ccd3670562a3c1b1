#pragma once

#include <cstdint>

#include <ringdown/net/byte_counts.hpp>

namespace ringdown {

/// What a connection's handler says that it is doing.
class handler_mark {
public:
    /// It waits for a request of which it has received nothing; or it does no longer. What is
    /// received takes the mark away as well.
    void set_idle(bool idle, const byte_counts& bytes) noexcept {
        if (says_ == said::answering) return;
        says_ = idle ? said::idle : said::nothing;
        received_ = low_half(bytes);
    }
    /// Requests are in progress: the peer waits for us, so no idle time passes.
    void set_requests(bool in_progress) noexcept {
        if (in_progress)
            says_ = said::answering;
        else if (says_ == said::answering)
            says_ = said::nothing;
    }
    [[nodiscard]] bool idle(const byte_counts& bytes) const noexcept {
        return says_ == said::idle && received_ == low_half(bytes);
    }
    [[nodiscard]] bool answering() const noexcept { return says_ == said::answering; }

private:
    enum class said : std::uint8_t { nothing, idle, answering };

    // Enough to see that it has changed, in half of the memory.
    static std::uint32_t low_half(const byte_counts& bytes) noexcept {
        return static_cast<std::uint32_t>(bytes.received);
    }

    std::uint32_t received_ = 0; // when it was marked idle
    said says_ = said::nothing;
};

} // namespace ringdown
