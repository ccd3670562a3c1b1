#include "verify.hpp"

#include "kinds.hpp"
#include "text.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

// A running server accepts within this time; who connected later may still have been waiting in
// the accept queue when the drain began.
constexpr auto accept_time = 250ms;
// ... and connects, even if the first SYN was lost, within this.
constexpr auto connect_time = 1500ms;

class verifier {
public:
    verifier(const std::vector<record>& records, const run_times& times)
        : records_(records), times_(times) {}

    verification run(const std::filesystem::path& reports, const std::string& totals_line) {
        result_.said.resize(records_.size(), nullptr);
        read_reports(reports);
        match_reports();
        for (std::size_t i = 0; i < records_.size(); ++i) {
            judge(i);
        }
        check_totals(totals_line);
        return std::move(result_);
    }

private:
    void fail(std::string what, const record* seen = nullptr,
              std::vector<std::string> reports = {}) {
        const auto about = seen == nullptr ? std::move(what)
                                           : fmt::format("{} ({}): {}", seen->address,
                                                         all_kinds()[seen->kind].name, what);
        result_.failures.push_back({.what = about,
                                    .peer = seen == nullptr ? "" : to_json(*seen, times_.started),
                                    .reports = std::move(reports)});
    }

    void read_reports(const std::filesystem::path& file) {
        std::ifstream lines(file);
        if (!lines) {
            fail(fmt::format("{}: the server wrote no reports", file.string()));
        }
        std::string line;
        for (int number = 1; std::getline(lines, line); ++number) {
            try {
                result_.reports.push_back(parse_report(line));
            } catch (const std::runtime_error& error) {
                fail(fmt::format("{}:{}: {}", file.string(), number, error.what()), nullptr,
                     {line});
            }
        }
    }

    void match_reports() {
        std::unordered_map<std::string_view, std::size_t> by_address;
        for (std::size_t i = 0; i < records_.size(); ++i) {
            by_address.emplace(records_[i].address, i);
        }
        std::unordered_map<std::uint64_t, const report*> by_number;
        for (const auto& said : result_.reports) {
            const auto [same, is_new] = by_number.emplace(said.connection, &said);
            if (!is_new) {
                fail(fmt::format("two reports have the number {}", said.connection), nullptr,
                     {same->second->line, said.line});
            }
            const auto found = by_address.find(said.peer);
            if (found == by_address.end()) {
                fail(fmt::format("{}: a report, but the load opened no such connection", said.peer),
                     nullptr, {said.line});
                continue;
            }
            auto& slot = result_.said[found->second];
            if (slot != nullptr) {
                fail("two reports for one connection", &records_[found->second],
                     {slot->line, said.line});
                continue;
            }
            slot = &said;
        }
    }

    void judge(std::size_t index) {
        const auto& seen = records_[index];
        if (seen.wrong_byte_at) {
            fail(fmt::format("byte {} that it read is wrong", grouped(*seen.wrong_byte_at)), &seen,
                 lines_about(index));
        }
        if (seen.counts_differ) {
            fail("its kernel received another number of bytes than it counted", &seen);
        }
        const auto* said = result_.said[index];
        result_.outcomes.push_back(said != nullptr ? outcome::reported : without_report(seen));
        if (result_.outcomes.back() == outcome::missing) {
            fail("it was served, but has no report", &seen);
        }
        if (!seen.established &&
            (seen.over < times_.drained || seen.opened < times_.drained - connect_time)) {
            fail("it could not connect, and the server was not draining", &seen);
        }
        if (said == nullptr) {
            return;
        }
        if (!seen.established) {
            fail("a report, but it never connected", &seen, {said->line});
            return;
        }
        for (const auto& what : disagreements(*said, seen, times_)) {
            fail(what, &seen, {said->line});
        }
        result_.heard_bytes += seen.heard();
        const auto unacknowledged = said->unacknowledged_bytes.value_or(said->sent_bytes);
        result_.claimed_bytes += said->sent_bytes - std::min(unacknowledged, said->sent_bytes);
    }

    [[nodiscard]] std::vector<std::string> lines_about(std::size_t index) const {
        const auto* said = result_.said[index];
        return said == nullptr ? std::vector<std::string>{} : std::vector{said->line};
    }

    [[nodiscard]] outcome without_report(const record& seen) const {
        if (!seen.established) {
            return outcome::refused;
        }
        const bool heard_nothing = seen.heard() == 0 && !seen.end_received;
        const bool over_by_reset =
            seen.reset_seen || seen.ended == own_end::reset || seen.ended == own_end::vanished;
        if (heard_nothing && over_by_reset && seen.over >= times_.drained &&
            seen.connected >= times_.drained - accept_time) {
            return outcome::unserved;
        }
        // A reset that leaves with the handshake's last segment can overtake it on another CPU;
        // then there never was a connection for the server to accept.
        if (seen.ended == own_end::reset && !seen.server_answered) {
            return outcome::before_accept;
        }
        return outcome::missing;
    }

    void check_totals(const std::string& line) {
        try {
            result_.totals = parse_totals(line);
        } catch (const std::runtime_error& error) {
            fail(fmt::format("the server's last line {}: '{}'", error.what(), line));
            return;
        }
        const auto& totals = result_.totals;
        const auto written = result_.reports.size();
        if (totals.accepts != totals.reports || totals.reports != written) {
            fail(fmt::format("the server counts {} accepts and {} reports, and wrote {}",
                             grouped(totals.accepts), grouped(totals.reports), grouped(written)));
        }
        if (totals.descriptors_left != 0 || totals.operations_left != 0) {
            fail(fmt::format("the server has {} descriptors and {} operations left",
                             totals.descriptors_left, totals.operations_left));
        }
        check_histogram("ending", &report::ending, totals.ending);
        check_histogram("cause", &report::cause, totals.cause);
        check_histogram("delivery", &report::delivery, totals.delivery);
    }

    void check_histogram(std::string_view field, std::string report::* value,
                         const histogram& claimed) {
        histogram differences = claimed;
        for (const auto& said : result_.reports) {
            --differences[said.*value]; // modulo 2^64: 0 if, and only if, both are the same
        }
        for (const auto& [name, difference] : differences) {
            if (difference != 0) {
                const auto entry = claimed.find(name);
                const auto total = entry == claimed.end() ? 0 : entry->second;
                fail(fmt::format("the server counts {} times {} '{}', its reports say {}",
                                 grouped(total), field, name, grouped(total - difference)));
            }
        }
    }

    const std::vector<record>& records_;
    const run_times& times_;
    verification result_;
};

} // namespace

verification verify(const std::vector<record>& records, const std::filesystem::path& reports,
                    const std::string& totals_line, const run_times& times) {
    return verifier(records, times).run(reports, totals_line);
}

} // namespace ringdown_demo
