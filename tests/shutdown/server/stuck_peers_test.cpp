#include "server_rig.hpp"
#include "support/fixture.hpp"

#include <string>

using namespace ringdown;
using namespace ringdown::testing;

// Peers that send and never read, before the most natural handler: it sends the lease that it
// received. They may cost memory, and nobody else its service.

namespace {

task<void> echo_leases(stream& with) {
    const auto set = co_await with.set_option(SOL_SOCKET, SO_SNDBUF, 4096);
    CHECK(set);
    for (;;) {
        const auto got = co_await with.recv_lease();
        if (!got) break;
        const auto sent = co_await with.send(*got);
        if (!sent) break;
    }
    co_await abort_close(with);
}

void check_served(loop_options options, std::size_t many, int messages) {
    run(
        [=](rig& at) -> task<void> {
            server_rig server(at, echo_leases);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                std::vector<peer> stuck;
                while (stuck.size() < many) {
                    stuck.push_back(server.connect(4096));
                    for (int i = 0; i < messages; ++i)
                        co_await round_trip(at, stuck.back(), "small");
                }
                auto& pool = at.on.service<buffer_pool>();
                const bool held = co_await eventually(at, [&] {
                    for (peer& each : stuck)
                        each.write_what_fits(100'000);
                    return pool.copies() >= many - 3 * pool.count() / 4;
                });
                CHECK(held);
                MESSAGE("copies that " << many << " hold: " << pool.copies());
                // A lease under way of each, and what was brought before its inbox was stopped.
                CHECK(pool.copies() <= many * (1 + pool.count()));

                peer healthy = server.connect();
                for (int i = 0; i < 10; ++i)
                    co_await round_trip(at, healthy, "served");
                CHECK(server.serving.open() == many + 1); // they are all still there
                healthy.close();
                for (peer& each : stuck)
                    each.reset();
                in.spawn(drain_into(server.serving, {.within = 5s}, report));
            });
            check_drained(server, *report);
        },
        options);
}

} // namespace

TEST_CASE("stuck peers: a thousand hold leases on their way, and a healthy one is answered") {
    allow_descriptors();
    check_served({}, 1000, 0);
}

TEST_CASE("stuck peers: many more than there are buffers, after messages were exchanged") {
    const loop_options few{.buffers = 32, .buffer_bytes = 2048};
    check_served(few, 200, 3 /* then a receive stays armed */);
    loop_options picked = few;
    picked.ring.disabled.add(capability::buffer_ring);
    check_served(picked, 200, 3 /* then a receive stays armed */);
}
