#pragma once

#include <ringdown/net/internal/connection_follower.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// Whoever follows a connection is given its report, once, when its descriptor is released: first
/// the tasks that wait for the end, then its session, then its server. The ledger of the loop comes
/// last. `ending` hands it on.
class report_sink : public connection_follower {
public:
    /// Lifetime: the report stays as long as the connection's block.
    virtual void reported(const teardown_report& report) noexcept = 0;

protected:
    ~report_sink() = default;
};

} // namespace ringdown
