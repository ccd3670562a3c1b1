#include "server_rig.hpp"

#include <algorithm>

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("snapshot: what each connection does and waits for, while a drain goes on") {
    run([](rig& at) -> task<void> {
        const auto answer = pattern(8'000'000);
        std::optional<drain_report> report;
        server_rig server(at, [&](stream& with) -> task<void> {
            std::array<std::byte, 16> buffer;
            with.mark_idle();
            const auto asked = co_await with.recv(buffer);
            if (!asked) co_return;
            if (buffer[0] == std::byte{'w'}) co_await sleep_for(1h);
            if (buffer[0] == std::byte{'c'}) {
                co_await abort_close(with);
                co_await sleep_for(1h);
            }
            if (buffer[0] == std::byte{'a'}) {
                sent outcome;
                co_await with_scope([&](scope& in) -> task<void> {
                    in.spawn(send_into(with, answer, outcome));
                    co_await graceful_close(with, {.within = 1h, .idle = 0s});
                });
            }
            if (buffer[0] == std::byte{'f'}) {
                const auto last = co_await with.send_last(bytes_of("answer"));
                CHECK(last.bytes == 6);
                co_await graceful_close(with, {.within = 1h, .idle = 0s});
            }
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            std::vector<peer> clients;
            for (const char* each : {"work", "close", "answer", "fin", "deaf"}) {
                clients.push_back(server.connect(4096));
                if (each[0] == 'd') {
                    clients.back().write("fin");
                    clients.back().go_deaf();
                } else {
                    clients.back().write(each);
                }
            }
            clients.push_back(server.connect()); // idle
            using enum connection_activity;
            for (const auto each : {serving, closed, flushing, finishing, acknowledging, idle})
                co_await server.until(each, 1);

            const server_snapshot seen = server.serving.snapshot();
            CHECK(seen.ready);
            CHECK(seen.phase == server_phase::serving);
            CHECK(seen.accepts == 6);
            CHECK(seen.reports == 0);
            CHECK(std::ranges::all_of(seen.by_activity, [](std::size_t n) { return n <= 1; }));
            REQUIRE(seen.connections.size() == 6);
            const auto& all = seen.connections;
            REQUIRE(seen.oldest.has_value());
            CHECK(seen.oldest->connection == all[0].connection);
            for (std::size_t i = 0; i < 6; ++i) {
                if (clients[i].descriptor() >= 0 && i != 1)
                    CHECK(all[i].peer == clients[i].local());
                CHECK(all[i].age > 0ns);
                CHECK(all[i].age <= seen.oldest->age);
            }
            const std::pair<connection_activity, std::string_view> expected[] = {
                {serving, "handler"},
                {closed, "handler"},
                {flushing, "flush"},
                {finishing, "peer_finished"},
                {acknowledging, "fin_acknowledged"},
                {idle, "request"}};
            for (std::size_t i = 0; i < 6; ++i) {
                CHECK(all[i].activity == expected[i].first);
                CHECK(all[i].waits_for() == expected[i].second);
            }
            CHECK(all[0].received_bytes == 4);
            CHECK(all[2].queued_bytes + all[2].sent_bytes == answer.size());
            CHECK(all[2].queued_bytes > 0);
            CHECK(all[3].sent_bytes == 6);
            CHECK(all[3].queued_bytes == 0);

            const drain_report drained = co_await server.serving.drain(
                {.within = 100ms, .first_request_within = 0s, .idle = 0s});
            check_drained(server, drained);
            REQUIRE(drained.stragglers.size() == 6);
            for (std::size_t i = 0; i < 5; ++i) {
                CHECK(drained.stragglers[i].connection == all[i].connection);
                CHECK(drained.stragglers[i].waits_for() == expected[i].second);
            }
            CHECK(drained.stragglers[5].waits_for() == "peer_finished");
        });
        const server_summary after = server.serving.summary();
        CHECK(after.phase == server_phase::drained);
        CHECK(after.reports == 6);
        CHECK_FALSE(after.oldest.has_value());
    });
}
