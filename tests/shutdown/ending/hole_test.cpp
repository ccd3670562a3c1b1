#include <atomic>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// FIN never follows a send that was cut short, whatever is called next: the peer would take half of
// an answer for the whole.

namespace {

constexpr pair_options small_buffers{.our_send_buffer = 20'000, .their_receive_buffer = 20'000};

enum class form { plain, vectored, zero_copy, last };
enum class verb {
    graceful,
    background,
    wait,
    leave,
    shutdown_send_first,
    shutdown_both_first,
    empty_last_first,
    when_peer_ends,
    dropped,
    server_session,
};

task<void> send_half(stream& by, form how, std::span<const std::byte> data, sent& outcome) {
    const iovec part{const_cast<std::byte*>(data.data()), data.size()};
    switch (how) {
    case form::plain:
        outcome = co_await by.send(data);
        break;
    case form::vectored:
        outcome = co_await by.send_vectored({&part, 1});
        break;
    case form::zero_copy:
        outcome = co_await by.send_zero_copy(data);
        break;
    case form::last:
        outcome = co_await by.send_last(data);
        break;
    }
}

task<void> end_by(rig& at, stream ours, peer& theirs, verb how) {
    if (how == verb::shutdown_send_first) {
        const auto refused = co_await ours.shutdown_send();
        CHECK(refused.error() == std::errc::operation_canceled);
    }
    if (how == verb::shutdown_both_first) {
        const auto refused = co_await ours.shutdown_both();
        CHECK(refused.error() == std::errc::operation_canceled);
    }
    if (how == verb::empty_last_first) {
        const auto refused = co_await ours.send_last({});
        CHECK(refused.error);
    }
    switch (how) {
    case verb::background:
        co_await close(ours, lingering::background(2s));
        break;
    case verb::wait:
        co_await close(ours, lingering::wait(2s));
        break;
    case verb::leave: {
        auto left = co_await disconnect(ours, {.within = 2s});
        CHECK(left.descriptor);
        break;
    }
    case verb::when_peer_ends:
        when_peer_ends(ours, {.does = peer_end_policy::action::finish});
        theirs.finish();
        break;
    case verb::dropped:
        ours.on_drop(drop_action::finish, 2s);
        break;
    case verb::server_session: {
        session with(std::move(ours), session_role::server);
        with.begin_shutdown({.limits = {.within = 2s}});
        co_await with.join();
        co_return;
    }
    default:
        co_await graceful_close(ours, {.within = 2s});
        break;
    }
    if (how == verb::dropped) ours = stream();
    co_await at.all_reported();
}

void end_after_cut(form what, verb how) {
    CAPTURE(static_cast<int>(what));
    CAPTURE(static_cast<int>(how));
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect(small_buffers);
        const auto answer = pattern(4 << 20);
        sent outcome;
        // A zero-copy send ends when the peer has taken what went.
        std::atomic<bool> over = what != form::zero_copy;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(100ms);
            while (!over) {
                if (theirs.unread() > 0) theirs.read_to_end(theirs.unread());
                std::this_thread::sleep_for(1ms);
            }
        });
        co_await with_deadline(at.on.now() + 50ms, send_half(ours, what, answer, outcome));
        over = true;
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(outcome.bytes > 0);
        co_await reader.done();
        REQUIRE(outcome.bytes < answer.size());
        co_await end_by(at, std::move(ours), theirs, how);
        const auto seen = theirs.read_to_end();
        CHECK_FALSE(seen.finished);
        CHECK(seen.error == ECONNRESET);
        CHECK(at.only_report().cause == teardown_cause::canceled);
        CHECK(at.only_report().reset_sent);
        CHECK(at.only_report().unsent_bytes == answer.size() - outcome.bytes);
        CHECK(at.only_report().phase <= teardown_phase::flushing);
    });
}

} // namespace

TEST_CASE("hole: behind a send that was cut short, no verb sends FIN") {
    for (int how = 0; how <= static_cast<int>(verb::server_session); ++how)
        end_after_cut(form::plain, static_cast<verb>(how));
}

TEST_CASE("hole: the same for every form of a send") {
    for (const form what : {form::vectored, form::zero_copy, form::last})
        for (const verb how : {verb::graceful, verb::empty_last_first})
            end_after_cut(what, how);
}
