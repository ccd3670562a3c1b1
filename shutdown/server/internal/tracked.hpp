#pragma once

#include <memory>

#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/ending/internal/report_sink.hpp>
#include <ringdown/shutdown/server/internal/activity.hpp>
#include <ringdown/shutdown/server/internal/handler_mark.hpp>
#include <ringdown/shutdown/server/internal/idle_limit.hpp>
#include <ringdown/shutdown/server/server.hpp>

// Internal to server.cpp and drain.cpp.

namespace ringdown {

/// A connection that is being served; owns its handler's task, and then belongs to `conclude`.
class server::tracked final : public pooled,
                              public child_owner,
                              public list_hook<server::tracked>,
                              public list_hook<server::drain_run>,
                              private report_sink {
public:
    tracked(server& server, connection& served, loop::time_point accepted_at);
    ~tracked();

    [[nodiscard]] connection& served() noexcept { return *served_; }
    [[nodiscard]] loop::time_point accepted_at() const noexcept { return accepted_at_; }
    /// The handler has ended.
    void handled() noexcept { handled_ = true; }
    /// Once the connection is closed.
    [[nodiscard]] const teardown_report& report() const noexcept {
        return *ending::report_of(*served_);
    }
    /// It has been named as a straggler.
    /// @{
    void straggle() noexcept { straggles_ = true; }
    [[nodiscard]] bool straggles() const noexcept { return straggles_; }
    /// @}
    /// True when it only waits for its report to be made.
    [[nodiscard]] bool over() const noexcept { return handled_ && reported_; }
    [[nodiscard]] connection_snapshot now(loop::time_point at) noexcept {
        return snapshot_of(*served_, at - accepted_at_);
    }
    /// The same, and the kernel is asked whether FIN was acknowledged.
    [[nodiscard]] connection_snapshot asked(loop::time_point at) noexcept {
        connection_snapshot made = now(at);
        made.activity = activity_by_now(*served_);
        return made;
    }

    [[nodiscard]] bool marked_idle() const noexcept override {
        return mark_.idle(served_->bytes());
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
    // The report stays with the connection, and a pointer would cost each idle one memory.
    void reported(const teardown_report&) noexcept override { reported_ = true; }
    void mark_idle(bool idle) noexcept override;
    void note_requests(bool in_progress) noexcept override { mark_.set_requests(in_progress); }
    bool set_idle(std::chrono::nanoseconds time) override;

    server& by_;
    connection_ref served_;
    loop::time_point accepted_at_;
    std::unique_ptr<idle_limit> limit_;       // null while it has no idle time
    [[no_unique_address]] handler_mark mark_; // the bits below fill it up
    bool handled_ = false;
    bool reported_ = false;
    bool straggles_ = false;
};

} // namespace ringdown
