#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <nlohmann/json_fwd.hpp>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/shutdown/session/session_group.hpp>

namespace rpc {

/// What the conversations of a server are held to.
struct service_options {
    ringdown::ending_policy ending; ///< Of one that the client or a bad message ended.
    /// Whether the client of a bad message gets an error answer, or a reset.
    ringdown::ending_plan when_broken = ringdown::plans::graceful;
    std::uint64_t frame_max = 1 << 20;
    /// Requests of one connection that are in progress at a time; what its client sends beyond
    /// them is not read. Nor may they be larger than `frame_max`, all in all, unless it is one.
    std::size_t in_progress_max = 64;
};

/// The conversations of one loop.
class service {
public:
    service(ringdown::loop& loop, const service_options& options) noexcept
        : options_(options), sessions_(loop), latecomers_(loop) {}

    [[nodiscard]] const service_options& options() const noexcept { return options_; }

    /// Ends every conversation, to this deadline: requests in progress are answered, later ones
    /// are dropped. One that has not received anything yet is served what it receives first.
    void begin_drain(ringdown::loop::time_point deadline);
    [[nodiscard]] std::optional<ringdown::loop::time_point> drain_deadline() const noexcept {
        return drain_deadline_;
    }
    [[nodiscard]] ringdown::event& draining() noexcept { return draining_; }
    /// What an ending that the drain asks for is held to.
    [[nodiscard]] ringdown::session_policy drain_policy() const;

    /// Takes a session in that a drain is to end, at once if there is one.
    void add(ringdown::session& begun);
    /// Takes a session in that is only to be counted.
    void count(ringdown::session& ended) { latecomers_.add(ended); }

    /// What the sessions do not count.
    struct counts {
        std::uint64_t notifications = 0; ///< Among the requests.
        std::uint64_t failed = 0;        ///< Of the answers, errors.
        std::uint64_t bad_messages = 0;
        std::size_t in_progress_most = 0; ///< Of one connection, at a time.
    };
    [[nodiscard]] counts& count() noexcept { return counts_; }
    /// Adds what there was to what there is under the same names.
    void add_to(nlohmann::ordered_json& totals) const;

private:
    service_options options_;
    std::optional<ringdown::loop::time_point> drain_deadline_;
    ringdown::event draining_;
    ringdown::session_group sessions_;
    ringdown::session_group latecomers_; // that came when `sessions_` had completed already
    counts counts_;
};

} // namespace rpc
