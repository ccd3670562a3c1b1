#include <stdexcept>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Guards, handles and tasks that go before, after and while the session ends.

TEST_CASE("request: a guard that is moved is one request; finish twice counts once") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto first = s.begin_request();
        request second = std::move(*first);
        CHECK_FALSE(static_cast<bool>(*first));
        CHECK(static_cast<bool>(second));
        CHECK(s.pending() == 1);
        first->finish(); // an empty guard finishes nothing
        CHECK(s.pending() == 1);
        auto third = s.begin_request();
        request& same = second;
        second = std::move(same);
        CHECK(s.pending() == 2);
        second = std::move(*third); // the one it held is given up
        CHECK(s.pending() == 1);
        second.finish();
        second.finish();
        CHECK_FALSE(static_cast<bool>(second));
        CHECK(s.pending() == 0);
        theirs.finish();
        CHECK(s.begin_shutdown());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 2 1 1 0");
        at.check_resets(0);
    });
}

TEST_CASE("request: destroyed without finish, the last one lets the session end") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        {
            auto owed = s.begin_request();
            CHECK(s.begin_shutdown());
            co_await sleep_for(5ms);
            CHECK(s.phase() == session_phase::answering);
        }
        CHECK(s.phase() == session_phase::closing);
        theirs.finish();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 1 0 1 0");
        CHECK(done.connection.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("request: outlives the session's handle and is answered all the same") {
    run([](rig& at) -> task<void> {
        peer theirs;
        result<request> owed;
        {
            auto talk = converse(at, session_role::server);
            theirs = std::move(talk.theirs);
            owed = talk.ours.begin_request();
            CHECK(talk.ours.begin_shutdown());
        } // destroyed behind begin_shutdown: goes on by itself
        co_await sleep_for(5ms);
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        co_await our_fin_arrives(at, theirs);
        CHECK(theirs.read() == "answer");
        theirs.close();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("request: one that outlives a disposed session is refused, and counts as cancelled") {
    run([](rig& at) -> task<void> {
        peer theirs;
        result<request> owed;
        std::optional<session_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            auto talk = converse(at, session_role::server);
            theirs = std::move(talk.theirs);
            owed = talk.ours.begin_request();
            in.spawn(completion_into(talk.ours, done));
            co_return;
        });
        const auto sent = co_await owed->send(text("answer"));
        CHECK(sent.error == errc::ending);
        owed->finish();
        REQUIRE(done.has_value());
        CHECK(row(*done) == "dispose none 1 0 1 0");
        CHECK(row(done->connection) == "local dropped none aborted acknowledged");
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: dispose keeps what the stream was told to do when dropped") {
    run([](rig& at) -> task<void> {
        auto made = at.connect();
        made.ours.on_drop(drop_action::finish, 2s);
        std::optional<session_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            session s(std::move(made.ours), session_role::server);
            in.spawn(completion_into(s, done));
            made.theirs.finish();
            co_return;
        });
        REQUIRE(done.has_value());
        CHECK(row(*done) == "dispose graceful 0 0 0 0");
        CHECK(done->connection.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("session: moved while receives, sends, requests and waits are in flight") {
    run([](rig& at) -> task<void> {
        auto made = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        auto& theirs = made.theirs;
        session first(std::move(made.ours), session_role::client);
        const auto data = pattern(1 << 20);
        std::string events;
        sent outcome;
        result<std::size_t> got;
        std::byte into[64];
        auto due = first.begin_request();
        std::optional<session> second;
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_on(*due, data, outcome));
            in.spawn(
                [](session& by, std::span<std::byte> to, result<std::size_t>& bytes) -> task<void> {
                    bytes = co_await by.recv(to);
                }(first, into, got));
            in.spawn([](session& by, std::string& name_of) -> task<void> {
                const auto next = co_await by.next_event();
                name_of = name(**next);
            }(first, events));
            co_await sleep_for(5ms);
            second.emplace(std::move(first));
            CHECK(second->begin_shutdown());
            reader.emplace(at.on, [&] {
                CHECK(theirs.read_to_end().bytes == data.size());
                theirs.write("answer");
            });
            const bool came = co_await eventually(at, [&] { return got.has_value() && *got == 6; });
            CHECK(came);
            due->finish();
            co_await reader->done();
            theirs.finish();
        });
        CHECK(!outcome.error);
        CHECK(events == "peer_shutdown");
        const auto done = co_await report_of(*second);
        CHECK(row(done) == "local graceful 1 1 0 0");
        at.check_resets(0);
    });
}

TEST_CASE("session: assigned over, the one before is disposed of") {
    run([](rig& at) -> task<void> {
        auto one = converse(at, session_role::server);
        auto two = converse(at, session_role::server);
        one.ours = std::move(two.ours);
        co_await sleep_for(2ms);
        CHECK(one.theirs.read_to_end().error == ECONNRESET);
        two.theirs.finish();
        CHECK(one.ours.begin_shutdown());
        const auto done = co_await report_of(one.ours);
        CHECK(row(done) == "local graceful 0 0 0 0");
        at.check_resets(1);
    });
}

TEST_CASE("session: an exception in its handler disposes of it, requests and all") {
    run([](rig& at) -> task<void> {
        peer theirs;
        bool thrown = false;
        try {
            co_await with_scope([&](scope& in) -> task<void> {
                auto talk = converse(at, session_role::server);
                theirs = std::move(talk.theirs);
                in.spawn([](session s) -> task<void> {
                    auto owed = s.begin_request();
                    const auto sent = co_await owed->send(text("half"));
                    CHECK(!sent.error);
                    co_await sleep_for(1ms);
                    throw std::runtime_error("handler");
                }(std::move(talk.ours)));
                co_return;
            });
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        co_await at.all_reported();
        CHECK(at.only_report().cause == teardown_cause::dropped);
        CHECK(at.only_report().ending == actual_ending::aborted);
        CHECK(theirs.read() == "half");
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: a cancelled scope ends sessions of its tasks in every phase, and says so") {
    for (const auto role : {session_role::client, session_role::server})
        for (const bool ending : {false, true})
            run([role, ending](rig& at) -> task<void> {
                peer theirs;
                co_await with_scope([&](scope& in) -> task<void> {
                    auto talk = converse(at, role);
                    theirs = std::move(talk.theirs);
                    in.spawn([](session s, bool ends) -> task<void> {
                        auto pending = s.begin_request();
                        if (ends) CHECK(s.begin_shutdown(within(80ms)));
                        const auto slept = co_await sleep_for(10s);
                        CHECK(!slept);
                        const auto waited = co_await s.completed();
                        CHECK(waited.error() == std::errc::operation_canceled);
                    }(std::move(talk.ours), ending));
                    co_await sleep_for(5ms);
                    in.cancel();
                });
                if (ending) theirs.finish(); // the handler has gone, the ending goes on
                co_await at.all_reported();
                const auto& report = at.only_report();
                if (ending) {
                    CHECK(report.ending == actual_ending::graceful);
                    at.check_resets(0);
                } else {
                    CHECK(report.ending == actual_ending::aborted);
                    at.check_resets(1);
                }
            });
}

TEST_CASE("session: a loop that ends has sessions in every phase, and reports each of them") {
    std::vector<peer> peers;
    std::vector<session> kept;
    std::vector<request> requests;
    run([&](rig& at) -> task<void> {
        for (int i = 0; i < 6; ++i) {
            auto talk = converse(at, i % 2 ? session_role::client : session_role::server);
            if (i < 4) requests.push_back(*talk.ours.begin_request());
            if (i >= 2) CHECK(talk.ours.begin_shutdown());
            peers.push_back(std::move(talk.theirs));
            kept.push_back(std::move(talk.ours));
        }
        co_await sleep_for(5ms);
        CHECK(kept[0].phase() == session_phase::open);
        CHECK(kept[2].phase() == session_phase::answering);
        CHECK(kept[4].phase() == session_phase::closing);
        at.at_end([&](const std::vector<teardown_report>& all) {
            CHECK(all.size() == 6);
            for (const auto& each : all)
                CHECK(each.cause == teardown_cause::canceled);
            for (const auto& each : kept) {
                CHECK(each.phase() == session_phase::completed);
                CHECK(each.pending() == 0);
            }
            requests.clear();
            kept.clear();
            peers.clear();
        });
    });
}
