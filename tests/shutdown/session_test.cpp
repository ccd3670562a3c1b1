#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("session: a server that shuts down answers what is in progress, then finishes") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::server);
        auto r = s.begin_request();
        REQUIRE(r.has_value());
        CHECK(s.begin_shutdown());
        CHECK_FALSE(s.begin_shutdown());
        CHECK_FALSE(s.begin_request().has_value());
        co_await pass(at, 20ms);
        CHECK(s.phase() == session_phase::answering);
        const auto sent = co_await r->send(text("answer"));
        CHECK(!sent.error);
        r->finish();
        CHECK(pair.theirs.read_to_end().bytes == 6);
        pair.theirs.close();
        const auto done = co_await s.completed();
        REQUIRE(done.has_value());
        CHECK(row(done->connection) == "local application graceful graceful acknowledged");
        CHECK(done->answered == 1);
        CHECK(done->dropped == 1);
    });
}
