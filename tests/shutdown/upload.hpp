#pragma once

#include <cstdint>

#include <linux/tcp.h>
#include <netinet/in.h>

#include "rig.hpp"

namespace ringdown::testing {

/// Writes until the connection is reset, and answers how much the kernel took of it.
inline std::uint64_t upload_without_end(peer& by) {
    std::uint64_t written = 0;
    for (std::uint64_t some = 65536; some == 65536; written += some)
        some = by.write_pattern(65536);
    return written;
}

/// Checks by the uploading peer's own kernel that no byte which that kernel knows to have arrived
/// is missing in the report, and that none counts that was never written.
inline void check_uploaded(const rig& at, const teardown_report& report, const peer& by,
                           std::uint64_t written) {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    REQUIRE(::getsockopt(by.descriptor(), IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0);
    const std::uint64_t counted = report.received_bytes + report.discarded_bytes;
    CHECK(counted <= written);
    // Without deferred work a discard may be running at the reset: then less is known.
    if (at.on.has(capability::defer_taskrun))
        CHECK(counted + 1 >= info.tcpi_bytes_acked); // which counts SYN
}

} // namespace ringdown::testing
