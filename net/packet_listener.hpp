#pragma once

#include <memory>

#include <ringdown/net/listener.hpp>
#include <ringdown/net/packet_stream.hpp>

namespace ringdown {

/// Accepts SEQPACKET connections on one loop: a `listener` that hands out packet streams.
///
/// Lifetime: `from` was made with `listen_options::packets`, or of a descriptor of that type.
class packet_listener final : private listener {
public:
    packet_listener(loop& loop, std::shared_ptr<listening_socket> from, std::size_t ahead = 4)
        : listener(loop, std::move(from), ahead, true) {}

    /// The next connection. Errors, cancellation: as `listener::accept`.
    task<result<packet_stream>> accept();

    using listener::accepted;
    using listener::close;
    using listener::denied_by;
    using listener::join;
    using listener::limit;
    using listener::local;
    using listener::refuse;
    using listener::stop;
    using listener::unlimited;
};

} // namespace ringdown
