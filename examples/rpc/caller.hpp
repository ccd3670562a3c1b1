#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/signals.hpp>
#include <ringdown/shutdown/session/session.hpp>

#include "call.hpp"
#include "framing.hpp"
#include "message.hpp"
#include "tally.hpp"

namespace rpc {

/// The client's side of a connection: sends calls, up to a number of them at a time, and takes the
/// answers in whatever order they come.
class caller {
public:
    caller(ringdown::loop& loop, const call_options& options, packed params);

    /// Until every call has its answer, or the connection ended; and that is closed.
    ringdown::task<void> run();

    [[nodiscard]] tally& outcome() noexcept { return tally_; }

private:
    struct flight {
        ringdown::request due;
        ringdown::loop::time_point begun;
    };

    ringdown::task<void> converse(ringdown::scope& inside);
    ringdown::task<void> send_all();
    ringdown::task<bool> send_one(std::uint32_t id);
    ringdown::task<ringdown::result<void>> wait_until_below(std::size_t in_flight);
    ringdown::task<void> receive_all();
    bool take_all();
    bool take(const message& answer);
    void break_off(const std::string& why);
    ringdown::task<void> end_on_signals();
    ringdown::task<void> end_at_deadline();
    void end_because(const char* why);
    [[nodiscard]] ringdown::session_policy ending() const;

    ringdown::loop& loop_;
    const call_options& options_;
    packed params_;
    ringdown::loop::time_point deadline_;
    std::optional<ringdown::session> session_;
    framing frames_;
    std::unordered_map<std::uint32_t, flight> flights_; // by id
    bool over_ = false;                                 // nothing will be received any more
    ringdown::event moved_;                             // a flight has ended, or all is over
    tally tally_;
};

} // namespace rpc
