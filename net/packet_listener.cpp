#include <ringdown/net/packet_listener.hpp>

namespace ringdown {

task<result<packet_stream>> packet_listener::accept() {
    auto accepted = co_await listener::accept();
    if (!accepted) co_return std::unexpected(accepted.error());
    co_return packet_stream(std::move(*accepted));
}

} // namespace ringdown
