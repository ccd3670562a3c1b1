#include "schedule_actor.hpp"

namespace schedules {
namespace {

using namespace ringdown;
using namespace std::chrono_literals;

constexpr std::array<std::size_t, 5> sizes{1, 100, 5'000, 40'000, 150'000};
constexpr std::array<std::chrono::nanoseconds, 4> pauses{1us, 50us, 3ms, 120ms};
constexpr std::array<std::uint64_t, 4> discards{0, 500, 300'000, ~std::uint64_t{0}};

iovec part(std::span<const std::byte> data) {
    return {const_cast<std::byte*>(data.data()), data.size()};
}

} // namespace

std::chrono::nanoseconds actor::pause() { return pauses[below(pauses.size())]; }
std::uint64_t actor::discard_limit() { return discards[below(discards.size())]; }

ending_policy actor::limits() {
    ending_policy made;
    made.within = std::array<std::chrono::nanoseconds, 4>{0ns, 1ms, 50ms, 500ms}[below(4)];
    if (below(4) == 0) made.deadline = loop_.now() + pause();
    made.idle = std::array<std::chrono::nanoseconds, 4>{0ns, 2ms, 300ms, 300ms}[below(4)];
    made.discard_bytes_max = discard_limit();
    return made;
}

task<void> actor::act(scope& inside) {
    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        // One in four is cut short, if the peer is slow.
        if (below(4) == 0)
            inside.spawn(timed(send_some()));
        else
            inside.spawn(send_some());
        break;
    case 3:
        co_await timed(receive());
        break;
    case 4:
        co_await timed(receive_lease());
        break;
    case 5:
        co_await sleep_for(pause());
        break;
    case 6:
        inside.spawn(timed(watch_peer()));
        break;
    case 7:
        if (below(3) == 0)
            inside.spawn(finish_sending());
        else
            inside.spawn(timed(await_delivery()));
        break;
    }
}

task<void> actor::act_freely(scope& inside) {
    switch (below(12)) {
    case 0:
        inside.spawn(watch_peer());
        break;
    case 1:
        inside.spawn(await_end());
        break;
    case 2:
        choose_at_peer_end();
        break;
    case 3:
        inside.spawn(receive_on());
        break;
    case 4:
        inside.spawn(keep_lease());
        break;
    case 5:
        if (below(2) == 0)
            inside.spawn(shut_receiving());
        else
            inside.spawn(drop_until_end());
        break;
    case 6:
        inside.spawn(act_canceled());
        break;
    default:
        co_await act(inside);
    }
}

// A scope of its own, which is cancelled while what it began is under way.
task<void> actor::act_canceled() {
    co_await with_scope([this](scope& inner) -> task<void> {
        for (auto left = 1 + below(2); left > 0; --left)
            if (peer_) co_await act_freely(inner);
        co_await sleep_for(pause());
        inner.cancel();
    });
}

task<void> actor::send_some() {
    const auto form = below(4);
    return send(form, sizes[below(sizes.size())]);
}

task<void> actor::send(std::uint64_t form, std::size_t size) {
    const auto data = seen_.next_to_send(size);
    traffic::handed& mine = seen_.handed_over.emplace_back(data);
    sent done;
    if (form == 0) {
        done = co_await peer_.send_zero_copy(data);
    } else if (form == 1) {
        const std::array<iovec, 2> parts{part(data.first(size / 2)), part(data.subspan(size / 2))};
        done = co_await peer_.send_vectored(parts);
    } else if (form == 2 && below(4) == 0) {
        seen_.fin_asked = true;
        done = co_await peer_.send_last(data);
    } else {
        done = co_await peer_.send(data);
    }
    mine.accepted = done.bytes;
    if (!done.error != (done.bytes == size)) seen_.complaints.push_back("a send lied");
}

task<void> actor::receive() {
    if (std::exchange(receiving_, true)) co_return;
    std::vector<std::byte> into(1 + below(3000));
    const auto bytes = co_await peer_.recv(into);
    receiving_ = false;
    if (bytes) seen_.received(std::span(into).first(*bytes));
}

task<void> actor::receive_lease() {
    if (std::exchange(receiving_, true)) co_return;
    const auto bytes = co_await peer_.recv_lease();
    receiving_ = false;
    if (bytes) seen_.received(bytes->data());
}

// Until the ending meets it. (A stream that was dropped has moved away.)
task<void> actor::receive_on() {
    if (std::exchange(receiving_, true)) co_return;
    const bool leases = below(2) == 0;
    std::vector<std::byte> into(1 + below(3000));
    for (bool on = true; on;) {
        if (leases) {
            const auto bytes = co_await peer_.recv_lease();
            if (bytes) seen_.received(bytes->data());
            on = bytes && peer_;
        } else {
            const auto bytes = co_await peer_.recv(into);
            if (bytes) seen_.received(std::span(into).first(*bytes));
            on = bytes && peer_;
        }
    }
    receiving_ = false;
}

// The loop has few buffers, so that others run out of them.
task<void> actor::keep_lease() {
    if (std::exchange(receiving_, true)) co_return;
    const auto bytes = co_await peer_.recv_lease();
    receiving_ = false;
    if (!bytes) co_return;
    seen_.received(bytes->data());
    co_await sleep_for(pause());
}

task<void> actor::watch_peer() { co_await peer_closed(peer_); }
task<void> actor::await_end() { co_await peer_ended(peer_); }

task<void> actor::finish_sending() {
    seen_.fin_asked = true;
    switch (below(3)) {
    case 0:
        co_await peer_.shutdown_both(discard_limit());
        break;
    case 1:
        (void)co_await peer_.send_last({});
        break;
    default:
        co_await peer_.shutdown_send();
    }
}

task<void> actor::shut_receiving() { co_await peer_.shutdown_receive(discard_limit()); }
task<void> actor::drop_until_end() { co_await recv_disconnect(peer_); }
task<void> actor::await_delivery() { co_await delivered(peer_); }

task<void> actor::timed(task<void> bounded) {
    co_await with_deadline(loop_.now() + 50ms, std::move(bounded));
}

void actor::choose_at_peer_end() {
    using enum peer_end_policy::action;
    peer_end_policy chosen;
    chosen.does = std::array{leave, finish, abort}[below(3)];
    if (below(2) == 0) chosen.data = peer_end_policy::unread::receive_first;
    chosen.ending = limits();
    if (chosen.does == finish) seen_.fin_asked = true;
    when_peer_ends(peer_, chosen);
}

} // namespace schedules
