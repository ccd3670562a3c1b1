#pragma once

#include <functional>

#include <nlohmann/json_fwd.hpp>

#include <ringdown/shutdown/server/server.hpp>

#include "options.hpp"

namespace examples {

/// Ends a connection as the options ask; waits for it unless that is in the background.
ringdown::task<void> end_as_asked(ringdown::stream& ended, const ringdown::ending_request& how);

/// What a program adds to `serve`. Each may be empty.
struct serving_extras {
    /// A drain begins, with this deadline. Called once on every loop, before its server is drained.
    std::function<void(ringdown::loop&, ringdown::loop::time_point)> on_drain;
    /// Adds to the totals, when everything has ended.
    std::function<void(nlohmann::ordered_json&)> add_totals;
};

/// Serves until SIGTERM or SIGINT, then drains; a second signal aborts at once.
///
/// One loop per thread, all accepting from one socket. Prints `listening on HOST:PORT` first, then
/// `metrics on HOST:PORT` if there are, and the totals, as a JSON object, last. Tells systemd when
/// it serves and that a drain takes its time.
///
/// Answers the exit status: 1 when reports could not be written.
int serve(const serving_options& options, const ringdown::server::handler& handler,
          const serving_extras& extras = {});

} // namespace examples
