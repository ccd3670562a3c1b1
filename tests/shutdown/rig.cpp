#include "rig.hpp"

#include <algorithm>
#include <filesystem>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown::testing {
namespace {

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

bool asked_to_wait(requested_ending asked) {
    return asked == requested_ending::graceful || asked == requested_ending::background ||
           asked == requested_ending::wait;
}

// A socket without a connection: nobody finishes, resets, acknowledges, or is waited for.
std::string contradictions_of_closed(const teardown_report& of) {
    const auto& times = of.microseconds;
    std::string found;
    if (of.initiator != teardown_initiator::local) found += "closed by somebody else; ";
    if (of.requested != requested_ending::none) found += "closed in some way; ";
    if (of.delivery != delivery_verdict::unknown || of.unacknowledged_bytes)
        found += "closed, and knows of delivery; ";
    if (of.peer_finished || of.reset_sent || of.reset_received || of.error)
        found += "closed, and there was an end; ";
    if (of.phase != teardown_phase::open || times.flush || times.fin_acknowledged)
        found += "closed, and there were phases; ";
    return found;
}

std::string contradictions_of_ending(const teardown_report& of) {
    const bool acknowledged = of.delivery == delivery_verdict::acknowledged;
    switch (of.ending) {
    case actual_ending::graceful:
        if (!of.peer_finished) return "graceful without the peer's FIN; ";
        if (of.reset_sent || of.reset_received) return "graceful with a reset; ";
        if (!acknowledged) return "graceful and not acknowledged; ";
        if (of.error) return "graceful with an error; ";
        return {};
    case actual_ending::delivered:
        // FIN without the goodbye of a layer is no end in order.
        if (of.peer_finished && of.cause != teardown_cause::truncated &&
            of.cause != teardown_cause::error)
            return "delivered in spite of the peer's FIN; ";
        if (of.requested != requested_ending::wait && !of.peer_finished)
            return "delivered, not asked to wait; ";
        if (of.reset_sent || of.reset_received) return "delivered with a reset; ";
        return acknowledged ? "" : "delivered and not acknowledged; ";
    case actual_ending::degraded:
        return asked_to_wait(of.requested) ? "" : "degraded from nothing; ";
    case actual_ending::aborted:
        return asked_to_wait(of.requested) ? "aborted instead of degraded; " : "";
    case actual_ending::reset:
        if (of.reset_sent) return "a reset that answers a reset; ";
        return of.reset_received && of.error ? "" : "reset without reset or error; ";
    case actual_ending::lost:
        if (of.initiator != teardown_initiator::kernel) return "lost, by somebody; ";
        return of.error ? "" : "lost without an error; ";
    case actual_ending::released:
        if (of.reset_sent || of.reset_received) return "released with a reset; ";
        return of.requested == requested_ending::release ? "" : "released without being asked; ";
    case actual_ending::closed:
        return contradictions_of_closed(of);
    }
    return "no ending; ";
}

std::string contradictions_of_times(const teardown_report& of) {
    const auto& times = of.microseconds;
    std::string found;
    for (const auto& each : {times.flush, times.fin_acknowledged, times.peer_finished})
        if (each && (*each > times.total || each->count() < 0)) found += "a time out of range; ";
    if (times.flush && times.fin_acknowledged && *times.flush > *times.fin_acknowledged)
        found += "FIN acknowledged before it was sent; ";
    if (of.peer_finished != times.peer_finished.has_value())
        found += "the peer's FIN and its time disagree; ";
    if (of.ending == actual_ending::graceful && of.requested == requested_ending::graceful &&
        !(times.flush && times.fin_acknowledged))
        found += "graceful without its times; ";
    return found;
}

} // namespace

std::string row(const teardown_report& of) {
    std::string all;
    for (const std::string_view each : {name(of.initiator), name(of.cause), name(of.requested),
                                        name(of.ending), name(of.delivery)})
        all.append(all.empty() ? "" : " ").append(each);
    return all;
}

std::string contradictions(const teardown_report& of) {
    std::string found = contradictions_of_ending(of) + contradictions_of_times(of);
    const bool acknowledged = of.delivery == delivery_verdict::acknowledged;
    if (acknowledged && of.unsent_bytes > 0) found += "acknowledged, and bytes unsent; ";
    if (acknowledged && of.unacknowledged_bytes.value_or(0) > 0)
        found += "acknowledged, and bytes unacknowledged; ";
    if (of.unacknowledged_bytes.value_or(0) > of.sent_bytes)
        found += "more unacknowledged than sent; ";
    if (of.connection == 0) found += "no number; ";
    if (of.peer.family() == AF_UNSPEC) found += "no peer; ";
    const bool unix_stream = of.peer.family() == AF_UNIX;
    if (unix_stream && (of.reset_sent || of.ending == actual_ending::lost))
        found += "a unix socket with a reset or a network; ";
    if ((of.phase == teardown_phase::finished) !=
            (of.peer_finished &&
             (of.ending == actual_ending::graceful || of.ending == actual_ending::delivered)) &&
        of.ending != actual_ending::reset && of.ending != actual_ending::degraded)
        found += "the phase disagrees with the ending; ";
    return found;
}

namespace {

// One for all tests. Never destroyed, since a test's child that exits shares its sockets.
wire_capture& captured_ends() {
    static wire_capture& all = *new wire_capture(wire_capture::what::ends);
    // So that the sockets that a test's own one leaves open are there before it.
    static const bool prepared = wire_capture(wire_capture::what::ends).works();
    if (prepared) all.take(); // of tests before
    return all;
}

} // namespace

rig::rig(const loop_options& options) : on(options), before_(count_wire()), ends_(captured_ends()) {
    ledger(on).on_report([this](const teardown_report& report) { reports_.push_back(report); });
}

const teardown_report& rig::only_report() const {
    REQUIRE(reports_.size() == 1);
    return reports_.front();
}

stream rig::take_over(int fd) {
    auto taken = adopt(on, fd);
    REQUIRE(taken.has_value());
    expect_report_of(*taken);
    return std::move(*taken);
}

void rig::expect_report_of(const socket_handle& also) {
    if (state_of(also).traits().resets_on_demand) our_ports_.insert(also.local().port());
    if (!state_of(also).traits().has_peer) datagrams_.insert(also.number());
    ++made_;
}

conversation rig::connect(const pair_options& options) {
    raw_pair made = tcp_pair(options);
    return {take_over(made.ours), std::move(made.theirs)};
}

conversation rig::connect_unix() {
    raw_pair made = unix_pair();
    return {take_over(made.ours), std::move(made.theirs)};
}

packet_conversation rig::connect_packets(int our_send_buffer) {
    auto made = packet_pair(our_send_buffer);
    auto taken = adopt_packets(on, made.ours);
    REQUIRE(taken.has_value());
    expect_report_of(*taken);
    return {std::move(*taken), std::move(made.theirs)};
}

datagram_socket rig::open_datagrams(std::optional<address> peer) {
    auto made = ringdown::open_datagrams(
        on, {.local = *address::parse("127.0.0.1:0"), .peer = std::move(peer)});
    REQUIRE(made.has_value());
    expect_report_of(*made);
    return std::move(*made);
}

std::uint64_t rig::our_resets() {
    for (const wire_segment& each : ends_.take())
        resets_.add(each);
    return resets_.sent_by(our_ports_);
}

void rig::check_resets(std::uint64_t expected) {
    if (has_own_network() && ends_.works()) {
        CHECK(our_resets() == expected);
        return;
    }
    // Once: all that a case checks beside it, it has checked.
    static const bool said = [] {
        MESSAGE("skip: no network of its own, so RST are counted in no case: "
                << std::string(own_network_refused()));
        return true;
    }();
    static_cast<void>(said);
}

void rig::check_reported_resets() {
    if (!has_own_network() || !ends_.works() || !has_sink_) return;
    const auto reported = std::ranges::count_if(
        reports_, [](const teardown_report& each) { return each.reset_sent; });
    CHECK(our_resets() == static_cast<std::uint64_t>(reported) + kernels_resets_);
    CHECK(wire().resets_sent >= our_resets());
}

void rig::check_near(std::chrono::microseconds time, std::chrono::microseconds expected) const {
    CHECK(time.count() >= expected.count());
    CHECK(time.count() < (expected + 30s).count());
}

task<void> rig::all_reported() {
    const bool all = co_await eventually(*this, [this] { return reports_.size() >= made_; });
    CHECK(all);
}

void run(const std::function<task<void>(rig&)>& body, const loop_options& options) {
    if (has_own_network()) CHECK(wire_is_quiet(30s));
    captured_ends(); // its descriptors stay
    const auto descriptors = open_descriptors();
    const auto frames = frame_pool::statistics().live;
    {
        rig at(options);
        at.on.run(body(at));
        at.run_is_over();
        CHECK(at.on.operations_in_flight() == 0);
        if (at.has_sink()) CHECK(at.reports().size() == at.made());
        CHECK(ledger(at.on).counters().reports == at.made());
        at.check_reported_resets();
        CHECK(at.on.service<buffer_pool>().available() == at.on.service<buffer_pool>().count());
        CHECK(at.on.service<buffer_pool>().copies() == 0);
        std::vector<std::uint64_t> numbers;
        for (const teardown_report& each : at.reports()) {
            const std::string said = row(each);
            CAPTURE(said);
            CHECK(contradictions(each) == "");
            CHECK((each.ending == actual_ending::closed) == at.was_datagrams(each));
            numbers.push_back(each.connection);
        }
        std::ranges::sort(numbers);
        CHECK(std::ranges::adjacent_find(numbers) == numbers.end());
    }
    CHECK(open_descriptors() == descriptors);
    CHECK(frame_pool::statistics().live == frames);
}

task<bool> eventually(rig& at, std::function<bool()> holds) {
    const auto until = at.on.now() + 30s;
    while (!holds()) {
        if (at.on.now() >= until) co_return false;
        const auto slept = co_await sleep_for(1ms);
        if (!slept) co_return false;
    }
    co_return true;
}

int tcp_state_of(const stream& of) {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    ::getsockopt(of.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &bytes);
    return info.tcpi_state;
}

void check_claim(const teardown_report& report, std::uint64_t arrived) {
    REQUIRE(report.unacknowledged_bytes.has_value());
    CHECK(report.sent_bytes - *report.unacknowledged_bytes <= arrived);
}

} // namespace ringdown::testing
