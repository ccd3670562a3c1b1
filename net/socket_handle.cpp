#include <ringdown/net/socket_handle.hpp>

#include <cerrno>

#include <ringdown/net/internal/fin.hpp>
#include <ringdown/net/internal/peer_name.hpp>

namespace ringdown {

address socket_handle::peer() { return state().learn_peer(); }

address socket_handle::local() const noexcept { return local_name(on().calls(), native_handle()); }

void connected_socket::on_farewell(std::span<const std::byte> bytes) {
    state().make_farewell().bytes.assign(bytes.begin(), bytes.end());
}

void connected_socket::on_farewell(task<void> say) {
    state().make_farewell().say.emplace(std::move(say));
}

task<result<void>> connected_socket::shutdown_send() {
    const connection_ref kept(state());
    connection& connection = *kept;
    if (connection.life() != life_phase::open)
        co_return std::unexpected(make_error_code(errc::ending));
    if (!connection.request_fin()) co_return std::unexpected(canceled());
    const auto waited = co_await connection.fin().settled_event().wait();
    if (!waited) co_return std::unexpected(waited.error());
    const int outcome = connection.fin().result();
    if (outcome == -ECANCELED) co_return std::unexpected(canceled());
    if (outcome < 0) co_return std::unexpected(system_error(outcome));
    co_return result<void>{};
}

} // namespace ringdown
