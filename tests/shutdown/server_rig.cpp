#include "server_rig.hpp"

#include <array>
#include <numeric>

namespace ringdown::testing {
namespace {

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
}

task<void> handle(rig& at, server_rig::body handler, stream accepted) {
    at.expect_report_of(accepted);
    co_await handler(accepted);
}

server_options with_reports(server_options options, std::vector<teardown_report>& into) {
    options.on_report = [&into](const teardown_report& report) { into.push_back(report); };
    return options;
}

task<void> echo_until_end(stream& with, bool marked) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        if (marked) with.mark_idle();
        const auto bytes = co_await with.recv(buffer);
        if (!bytes) break;
        const auto sent = co_await with.send(std::span(buffer).first(*bytes));
        if (!sent) break;
    }
    co_await graceful_close(with);
}

} // namespace

server_rig::server_rig(rig& at, body handler, server_options options,
                       std::shared_ptr<listening_socket> socket)
    : serving(
          at.on, socket ? std::move(socket) : any_port(),
          [&at, handler = std::move(handler)](stream accepted) {
              return handle(at, handler, std::move(accepted));
          },
          with_reports(std::move(options), reports_)),
      at_(at) {}

task<void> server_rig::run() {
    const auto served = co_await serving.run();
    CHECK(served.has_value());
    has_run_ = true;
}

task<void> server_rig::until(connection_activity doing, std::size_t many) {
    const bool seen = co_await eventually(at_, [&] { return count(doing) == many; });
    CAPTURE(std::string(name(doing)));
    CHECK(seen);
}

task<peer> server_rig::idle_client() {
    peer made = connect();
    const auto before = count(connection_activity::idle);
    co_await round_trip(at_, made, "hello");
    const bool idle =
        co_await eventually(at_, [&] { return count(connection_activity::idle) > before; });
    CHECK(idle);
    co_return made;
}

task<std::vector<peer>> server_rig::idle_clients(std::size_t many) {
    std::vector<peer> made;
    for (std::size_t i = 0; i < many; ++i) {
        auto next = idle_client();
        made.push_back(co_await next);
    }
    co_return made;
}

task<void> echo(stream& with) { co_await echo_until_end(with, true); }

task<void> echo_unmarked(stream& with) { co_await echo_until_end(with, false); }

task<void> round_trip(rig& at, peer& with, std::string_view text) {
    CHECK(with.write(text) == text.size());
    const bool answered = co_await eventually(at, [&] { return with.unread() >= text.size(); });
    REQUIRE(answered);
    CHECK(with.read() == text);
}

task<void> sees_fin(rig& at, const peer& at_peer) {
    constexpr int close_wait = 8;
    const bool seen = co_await eventually(at, [&] { return at_peer.tcp_state() == close_wait; });
    CHECK(seen);
}

task<void> drain_into(server& drained, drain_policy policy, std::optional<drain_report>& into) {
    into = co_await drained.drain(policy);
}

void check_drained(server_rig& of, const drain_report& report) {
    CHECK(of.serving.phase() == server_phase::drained);
    CHECK_FALSE(of.serving.ready());
    CHECK(report.accepts == of.serving.accepts());
    CHECK(report.reports == report.accepts);
    CHECK(of.reports().size() == report.accepts);
    CHECK(of.serving.open() == 0);
    CHECK_FALSE(report.called_off);
    const auto total = std::accumulate(report.by_phase.begin(), report.by_phase.end(), 0ns);
    CHECK(total == report.took);
}

} // namespace ringdown::testing
