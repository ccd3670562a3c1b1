#include "verify.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ringdown_demo {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// After the deadline: what the server needs to end, on a busy machine.
constexpr auto end_time = 1s;

session_said parse_session(const std::string& line) {
    const auto fields = json::parse(line);
    return {.line = line,
            .peer = fields.at("peer"),
            .began = fields.at("began"),
            .peer_end = fields.at("peer_end"),
            .requests = fields.at("requests"),
            .answered = fields.at("answered"),
            .canceled = fields.at("canceled"),
            .dropped = fields.at("dropped"),
            .connection = parse_report(fields.at("connection").dump())};
}

session_totals parse_session_totals(const std::string& line) {
    const auto fields = json::parse(line);
    return {.sessions = fields.at("sessions"),
            .requests = fields.at("requests"),
            .answered = fields.at("answered"),
            .canceled = fields.at("canceled"),
            .dropped = fields.at("dropped"),
            .connections = parse_totals(line)};
}

class verifier {
public:
    verifier(const std::vector<session_record>& records, const session_times& times)
        : records_(records), times_(times) {}

    session_verification run(const std::filesystem::path& file, const std::string& totals_line) {
        read_lines(file);
        match_lines();
        for (std::size_t i = 0; i < records_.size(); ++i) {
            judge(records_[i], result_.said[i]);
        }
        check_totals(totals_line);
        if (times_.ended > times_.drained + times_.deadline + end_time) {
            fail("the server ended long after its deadline");
        }
        return std::move(result_);
    }

private:
    void fail(std::string what) { result_.failures.push_back(std::move(what)); }

    void read_lines(const std::filesystem::path& file) {
        std::ifstream lines(file);
        for (std::string line; std::getline(lines, line);) {
            try {
                result_.lines.push_back(parse_session(line));
            } catch (const std::exception& error) {
                fail(fmt::format("the server's line '{}': {}", line, error.what()));
            }
        }
    }

    void match_lines() {
        std::unordered_map<std::string_view, std::size_t> by_address;
        for (std::size_t i = 0; i < records_.size(); ++i) {
            by_address.emplace(records_[i].address, i);
        }
        result_.said.resize(records_.size(), nullptr);
        for (const auto& each : result_.lines) {
            const auto found = by_address.find(each.peer);
            if (found == by_address.end()) {
                fail("the load opened no such session: " + each.line);
            } else if (std::exchange(result_.said[found->second], &each) != nullptr) {
                fail("a session completed twice: " + each.line);
            }
        }
    }

    void judge(const session_record& seen, const session_said* said) {
        const auto name = fmt::format("{} ({})", seen.address, session_kinds[seen.kind].name);
        if (said == nullptr) {
            fail(name + ": the session never completed");
            return;
        }
        for (const auto& what : disagreements(seen, *said, times_)) {
            fail(fmt::format("{}: {}\n    server  {}", name, what, said->line));
        }
        if (!seen.over) {
            fail(name + ": it is still open, and the server gone");
        }
    }

    void check_totals(const std::string& line) {
        try {
            result_.totals = parse_session_totals(line);
        } catch (const std::exception& error) {
            fail(fmt::format("the server's last line {}: '{}'", error.what(), line));
            return;
        }
        const auto& totals = result_.totals;
        session_totals sum{};
        for (const auto& each : result_.lines) {
            ++sum.sessions;
            sum.requests += each.requests;
            sum.answered += each.answered;
            sum.canceled += each.canceled;
            sum.dropped += each.dropped;
        }
        check_sum("sessions", totals.sessions, sum.sessions);
        check_sum("requests", totals.requests, sum.requests);
        check_sum("answered", totals.answered, sum.answered);
        check_sum("cancelled", totals.canceled, sum.canceled);
        check_sum("dropped", totals.dropped, sum.dropped);
        check_sum("accepts", totals.connections.accepts, sum.sessions);
        check_sum("reports", totals.connections.reports, sum.sessions);
        check_sum("descriptors left", totals.connections.descriptors_left, 0);
        check_sum("operations left", totals.connections.operations_left, 0);
    }

    void check_sum(std::string_view what, std::uint64_t counted, std::uint64_t expected) {
        if (counted != expected) {
            fail(fmt::format("the server counts {} {}, not {}", counted, what, expected));
        }
    }

    const std::vector<session_record>& records_;
    const session_times& times_;
    session_verification result_;
};

} // namespace

session_verification verify_sessions(const std::vector<session_record>& records,
                                     const std::filesystem::path& file,
                                     const std::string& totals_line, const session_times& times) {
    return verifier(records, times).run(file, totals_line);
}

} // namespace ringdown_demo
