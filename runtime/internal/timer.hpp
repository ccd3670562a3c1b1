#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

class timer_queue;

/// A moment at which its loop calls `expired`, once for each time that it was set.
///
/// Costs the kernel nothing: it keeps one timeout for all timers of a loop (`alarm_clock`).
/// Lifetime: unsets itself when destroyed.
class timer {
public:
    using time_point = system_calls::time_point;

    /// One that learns of its queue when it is set.
    timer() noexcept = default;
    explicit timer(timer_queue& queue) noexcept : queue_(&queue) {}
    timer& operator=(timer&&) = delete;

    /// Sets the timer, or moves it if it was set.
    /// @{
    void set(time_point when);
    void set(timer_queue& queue, time_point when);
    /// @}
    void unset() noexcept;
    [[nodiscard]] bool is_set() const noexcept { return place_ != nowhere; }

protected:
    timer(timer&& other) noexcept : queue_(other.queue_) {
        require(!other.is_set(), "a timer was moved while it was set");
    }
    ~timer() { unset(); }
    virtual void expired() noexcept = 0;

private:
    friend class timer_queue;
    static constexpr std::size_t nowhere = ~std::size_t{0};

    timer_queue* queue_ = nullptr;
    time_point when_{};
    std::size_t place_ = nowhere;
};

/// The timers of one loop: a binary heap whose members know their places.
class timer_queue {
public:
    using time_point = system_calls::time_point;

    timer_queue() { heap_.reserve(1024); }
    timer_queue(const timer_queue&) = delete;
    timer_queue& operator=(const timer_queue&) = delete;

    [[nodiscard]] std::optional<time_point> next() const noexcept;
    /// Calls `expired` of the timers set for `now` or before, of the `most` earliest of them.
    void expire(time_point now, unsigned most = ~0U) noexcept;
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }

private:
    friend class timer;

    void insert(timer& added);
    void remove(timer& removed) noexcept;
    void settle(std::size_t place) noexcept;
    void put(timer* moved, std::size_t place) noexcept;

    std::vector<timer*> heap_;
};

} // namespace ringdown
