#pragma once

#include <memory>

#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/shutdown/server/internal/idle_limit.hpp>
#include <ringdown/shutdown/server/server.hpp>

// Internal to server.cpp and drain.cpp.

namespace ringdown {

/// A connection that is being served; owns its handler's task, and then belongs to `conclude`.
class server::tracked final : public pooled,
                              public child_owner,
                              public list_hook<server::tracked>,
                              public list_hook<server::drain_run>,
                              private idle_watcher {
public:
    tracked(server& server, connection& served, loop::time_point accepted_at);
    ~tracked();

    [[nodiscard]] connection& served() noexcept { return *served_; }
    [[nodiscard]] loop::time_point accepted_at() const noexcept { return accepted_at_; }
    /// The handler has ended.
    void handled() noexcept { handled_ = true; }
    /// It has been named as a straggler.
    /// @{
    void straggle() noexcept { straggles_ = true; }
    [[nodiscard]] bool straggles() const noexcept { return straggles_; }
    /// @}
    /// True when it only waits for its report to be made.
    [[nodiscard]] bool over() noexcept { return handled_ && served_->life() == life_phase::closed; }
    [[nodiscard]] connection_snapshot now(loop::time_point at) noexcept {
        return snapshot_of(*served_, at - accepted_at_);
    }
    /// The same, and the kernel is asked whether FIN was acknowledged.
    [[nodiscard]] connection_snapshot asked(loop::time_point at) noexcept {
        connection_snapshot made = now(at);
        made.activity = activity_by_now(*served_);
        return made;
    }

    enum class idleness : std::uint8_t {
        busy,  ///< A handler is at work, or will be with what has arrived.
        young, ///< Nothing has arrived, but it may be on its way.
        idle,  ///< Nothing has arrived.
    };
    /// What it is at this moment; the kernel is asked what has arrived.
    idleness look(loop::time_point grown_up_at) noexcept;

private:
    void child_finished(std::coroutine_handle<> handler,
                        std::exception_ptr failure) noexcept override;
    void marked_idle() noexcept override;
    void set_idle(std::chrono::nanoseconds time) override;

    server& by_;
    connection_ref served_;
    loop::time_point accepted_at_;
    std::unique_ptr<idle_limit> limit_; // null while it has no idle time
    bool handled_ = false;
    bool straggles_ = false;
};

} // namespace ringdown
