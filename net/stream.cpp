#include <ringdown/net/stream.hpp>

namespace ringdown {

task<result<void>> stream::shutdown_receive(std::uint64_t discard_bytes_max) {
    connection& connection = state();
    if (connection.life() != life_phase::open)
        co_return std::unexpected(make_error_code(errc::ending));
    connection.stop_receiving(discard_bytes_max);
    co_return result<void>{};
}

task<result<void>> stream::shutdown_both(std::uint64_t discard_bytes_max) {
    const connection_ref kept(state());
    const auto received = co_await shutdown_receive(discard_bytes_max);
    if (!received) co_return received;
    co_return co_await shutdown_send();
}

result<void> stream::use_layer(std::unique_ptr<layer> beneath) {
    connection& connection = state();
    if (connection.life() != life_phase::open || !connection.accepts_receives())
        return std::unexpected(make_error_code(errc::ending));
    if (connection.sending() != sending_phase::open || connection.cut_short())
        return std::unexpected(std::make_error_code(std::errc::broken_pipe));
    connection.use_layer(std::move(beneath));
    return {};
}

void stream::mark_idle(bool idle) noexcept { tell_idle(state(), idle); }

bool stream::set_idle(std::chrono::nanoseconds time) { return tell_idle_time(state(), time); }

void idle_mark::mark(bool idle) noexcept { tell_idle(*waits_, idle); }

} // namespace ringdown
