#include "rig.hpp"
#include "watched_system.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// No descriptor is closed before the last completion of every operation on it has arrived.

namespace {

task<void> lease_once(stream& by) { co_await by.recv_lease(); }
task<void> watch_once(stream& by) { co_await peer_closed(by); }

enum class how { graceful, prompt, degraded, abort, drop, reset, wait };

task<void> end_busy(rig& at, how ends, bool leases) {
    auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
    const auto data = pattern(ends == how::prompt || ends == how::graceful ? 1'000 : 1 << 20);
    sent outcome;
    std::byte into[64];
    result<std::size_t> got;
    peer_script reader(at.on, [&] {
        if (ends != how::prompt && ends != how::wait) return;
        theirs.read_to_end();
        if (ends == how::prompt) theirs.finish();
    });
    co_await with_scope([&](scope& in) -> task<void> {
        if (leases)
            in.spawn(lease_once(ours));
        else
            in.spawn(receive_into(ours, into, got));
        in.spawn(watch_once(ours));
        in.spawn(send_into(ours, data, outcome));
        co_await noop();
        switch (ends) {
        case how::graceful:
            theirs.finish();
            [[fallthrough]];
        case how::prompt:
            co_await graceful_close(ours);
            break;
        case how::degraded:
            co_await graceful_close(ours, {.within = 20ms});
            break;
        case how::abort:
            co_await abort_close(ours);
            break;
        case how::drop:
            ours = stream();
            break;
        case how::reset:
            theirs.reset();
            co_await graceful_close(ours);
            break;
        case how::wait:
            co_await close(ours, lingering::wait(5s));
            break;
        }
    });
    co_await reader.done();
    co_await at.all_reported();
}

} // namespace

TEST_CASE("no descriptor is closed before its operations are joined, however it ends") {
    watched_system calls;
    loop_options options;
    options.calls = &calls;
    // Also where the kernel may complete operations in more than one enter.
    options.ring.entries = 8;
    run(
        [&](rig& at) -> task<void> {
            const auto before = calls.closes();
            for (const bool leases : {false, true})
                for (const how ends : {how::graceful, how::prompt, how::degraded, how::abort,
                                       how::drop, how::reset, how::wait})
                    for (int i = 0; i < 5; ++i)
                        co_await end_busy(at, ends, leases);
            CHECK(calls.closes() - before == at.made());
            CHECK(calls.too_early().empty());
            for (const auto& each : calls.too_early())
                MESSAGE(each);
        },
        options);
}
