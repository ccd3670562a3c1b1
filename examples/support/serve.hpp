#pragma once

#include <ringdown/shutdown/server.hpp>

#include "options.hpp"

namespace examples {

/// Ends a connection as the options ask; waits for it unless that is in the background.
ringdown::task<void> end_as_asked(ringdown::stream& ended, const ringdown::ending_request& how);

/// Serves until SIGTERM or SIGINT, then drains; a second signal aborts at once.
///
/// One loop per thread, all accepting from one socket. Prints `listening on HOST:PORT` first, then
/// `metrics on HOST:PORT` if there are, and the totals, as a JSON object, last. Tells systemd when
/// it serves and that a drain takes its time.
int serve(const serving_options& options, const ringdown::server::handler& handler);

} // namespace examples
