#include "table.hpp"

#include "../text.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

std::string number(std::uint64_t value) { return value == 0 ? "·" : grouped(value); }

struct row {
    std::string_view name;
    std::uint64_t sessions = 0;
    std::uint64_t requests = 0;
    std::uint64_t answered = 0;
    std::uint64_t canceled = 0;
    std::uint64_t dropped = 0;
    std::uint64_t by_server = 0;
    std::uint64_t by_client = 0;
    std::uint64_t graceful = 0;
    std::vector<std::uint64_t> microseconds{};

    void add(const session_said* said) {
        ++sessions;
        if (said == nullptr) {
            return;
        }
        requests += said->requests;
        answered += said->answered;
        canceled += said->canceled;
        dropped += said->dropped;
        ++(said->began == "peer" ? by_client : by_server);
        graceful += said->connection.ending == "graceful" ? 1 : 0;
        microseconds.push_back(said->connection.microseconds.total);
    }

    [[nodiscard]] std::string line() {
        auto text =
            fmt::format("{:<21}{:>8} │{:>9}{:>9}{:>9}{:>8} │{:>8}{:>8}{:>9} │", name,
                        number(sessions), number(requests), number(answered), number(canceled),
                        number(dropped), number(by_server), number(by_client), number(graceful));
        std::ranges::sort(microseconds);
        for (const double share : {0.5, 0.99, 1.0}) {
            text += fmt::format("{:>8}", milliseconds(microseconds, share));
        }
        return text + '\n';
    }
};

std::string header() {
    return fmt::format("{:<21}{:>8} │{:<35} │{:<25} │ time to end, ms\n"
                       "{:<21}{:>8} │{:>9}{:>9}{:>9}{:>8} │{:>8}{:>8}{:>9} │{:>8}{:>8}{:>8}\n",
                       "", "", " requests", " ended by", "kind of client", "sessions", "begun",
                       "answered", "canceled", "dropped", "server", "client", "graceful", "p50",
                       "p99", "max");
}

} // namespace

std::string session_table(const std::vector<session_record>& records,
                          const session_verification& verified, const session_times& times) {
    std::vector<row> rows;
    for (const auto& kind : session_kinds) {
        rows.push_back({.name = kind.name});
    }
    row all{.name = "all"};
    std::uint64_t sent = 0;
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
        rows[records[i].kind].add(verified.said[i]);
        all.add(verified.said[i]);
        sent += records[i].sent;
        answered += records[i].answered;
    }
    auto text = header();
    for (auto& shown : rows) {
        text += shown.sessions > 0 ? shown.line() : "";
    }
    text += all.line();
    const auto took = std::chrono::duration<double>(times.ended - times.drained).count();
    return text + fmt::format("\ncompletions   {} = {} sessions\n"
                              "clients       {} requests sent, {} answered, each once; {} were not "
                              "begun\n"
                              "drain         {:.2f} s, to a deadline of {:.2f} s\n"
                              "left          {} descriptors, {} operations\n",
                              grouped(verified.totals.sessions), grouped(records.size()),
                              grouped(sent), grouped(answered),
                              grouped(sent - std::min(sent, all.requests)), took,
                              std::chrono::duration<double>(times.deadline).count(),
                              verified.totals.connections.descriptors_left,
                              verified.totals.connections.operations_left);
}

} // namespace ringdown_demo
