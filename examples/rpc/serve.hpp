#pragma once

#include "../support/options.hpp"
#include "service.hpp"

namespace rpc {

/// Serves `echo`, `sleep` and `fail` until SIGTERM or SIGINT, as every example server does; the
/// totals count the requests as well.
int serve(const examples::serving_options& options, const service_options& conversations);

} // namespace rpc
