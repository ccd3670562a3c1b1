#pragma once

#include <ringdown/shutdown/server/internal/tracked.hpp>

// Internal to server.cpp and drain.cpp.

namespace ringdown {

/// A drain under way: its time, and the idle connections that it has still to end. Lives in the
/// frame of `drain`.
class server::drain_run {
public:
    drain_run(server& server, const drain_policy& policy);
    drain_run(const drain_run&) = delete;
    drain_run& operator=(const drain_run&) = delete;
    ~drain_run();

    /// Anything has happened that a phase may wait for.
    [[nodiscard]] event& stirred() noexcept { return stirred_; }
    void stir() noexcept { stirred_.set(); }

    [[nodiscard]] const drain_policy& policy() const noexcept { return policy_; }
    [[nodiscard]] loop::time_point begun() const noexcept { return begun_; }
    [[nodiscard]] bool past_deadline() const noexcept { return server_.on_.now() >= deadline_; }
    /// Stirs then.
    void stir_at(loop::time_point when) { step_.set(when); }

    void note_left(server_phase left) noexcept;
    [[nodiscard]] drain_report report();

    void call_off() noexcept;
    [[nodiscard]] bool called_off() const noexcept { return called_off_; }
    void note_escalated() noexcept { escalated_ = true; }

    /// Ends what is idle, and from now on whatever is marked so. Later calls do nothing.
    void begin_ending_idle();
    /// Descriptors or memory are short, and who waits in the queue can be served with what idle
    /// connections hold: they end now.
    void note_shortage();
    [[nodiscard]] bool short_of_descriptors() const noexcept { return short_; }
    /// Until when the idle connections stay, so that their peers can learn of the drain.
    [[nodiscard]] loop::time_point notice_until() const noexcept;
    [[nodiscard]] handshake_patience patience() const noexcept;
    /// Every connection that was idle at the beginning has been looked at.
    [[nodiscard]] bool looked_at_idle() const noexcept { return idle_.empty(); }
    void marked_idle(tracked& idle) noexcept;

    cancellation* stopping = nullptr; // governs `stop_accepting`
    bool stopped = false;             // it has ended, or will not begin
    refusal newcomers = refusal::none;
    bool told_of_refusal = false;

private:
    class moment final : public timer {
    public:
        using call = void (drain_run::*)() noexcept;
        moment(drain_run& run, call what) noexcept
            : timer(run.server_.on_.timers()), of_(run), what_(what) {}

    private:
        void expired() noexcept override { (of_.*what_)(); }

        drain_run& of_;
        call what_;
    };

    void deadline_passed() noexcept;
    void step() noexcept;
    void end_idle() noexcept;
    void settle(tracked& next) noexcept;
    [[nodiscard]] loop::time_point grown_up_at(const tracked& young) const noexcept;
    [[nodiscard]] std::size_t allowed_by(loop::time_point now) const noexcept;
    void look_again(loop::time_point now) noexcept;

    server& server_;
    drain_policy policy_;
    loop::time_point begun_;
    loop::time_point deadline_;
    loop::time_point phase_since_;
    teardown_counters before_;
    std::array<std::chrono::nanoseconds, server_phases> by_phase_{};
    bool escalated_ = false;
    bool called_off_ = false;
    event stirred_;
    moment deadline_timer_;
    moment step_;

    bool ends_idle_ = false;
    bool short_ = false;
    loop::time_point asked_at_;
    std::size_t idle_at_first_ = 0;
    std::size_t idle_ended_ = 0;
    using waiting_list = intrusive_list<tracked, drain_run>;
    waiting_list idle_;  // to be looked at in their turn, evenly over the spread
    waiting_list young_; // whose first request may be on its way
};

} // namespace ringdown
