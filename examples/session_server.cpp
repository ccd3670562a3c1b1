// A server of sessions, for the demo. A request is a line `ID MS BYTES`: after so many milliseconds
// its answer is the line `ID BYTES` and that many bytes. Requests of one connection are served side
// by side. A drain answers what is in progress and takes nothing more.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/session/session_group.hpp>

#include "support/line_writer.hpp"
#include "support/report_json.hpp"
#include "support/serve.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t line_bytes_max = 64;
constexpr unsigned answer_bytes_max = 1 << 20;

struct wanted {
    unsigned id = 0;
    unsigned milliseconds = 0;
    unsigned bytes = 0;
};

std::optional<wanted> parse(std::string_view line) {
    wanted read;
    for (unsigned* each : {&read.id, &read.milliseconds, &read.bytes}) {
        const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), *each);
        if (error != std::errc{}) return std::nullopt;
        line.remove_prefix(static_cast<std::size_t>(rest - line.data()));
        if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    }
    if (!line.empty() || read.bytes > answer_bytes_max) return std::nullopt;
    return read;
}

// Differs from one answer to the next, so that none can be taken for another.
std::string answer_to(const wanted& asked) {
    std::string made = std::to_string(asked.id) + " " + std::to_string(asked.bytes) + "\n";
    for (unsigned i = 0; i < asked.bytes; ++i)
        made.push_back(static_cast<char>((asked.id + i) % 251));
    return made;
}

task<void> answer(request owed, wanted asked) {
    const auto waited = co_await sleep_for(asked.milliseconds * 1ms);
    if (!waited) co_return; // cancelled, and counted so
    const std::string made = answer_to(asked);
    const auto sent = co_await owed.send(bytes_of(made));
    if (sent) owed.finish();
}

// One line about what is no request, with nothing in it that a terminal would obey.
void complain(const address& peer, std::string line) {
    line.resize(std::min(line.size(), line_bytes_max));
    std::ranges::replace_if(line, [](char each) { return each < ' ' || each > '~'; }, '?');
    std::fprintf(stderr, "session-server: %s: '%s' is no request; write ID MS BYTES\n",
                 peer.text().c_str(), line.c_str());
}

// Takes the whole lines out of what arrived; answers the first that is none of this protocol's.
std::optional<std::string> begin_requests(std::string& arrived, session& session, scope& requests) {
    std::size_t begin = 0;
    for (std::size_t end; (end = arrived.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const auto line = std::string_view(arrived).substr(begin, end - begin);
        const auto asked = parse(line);
        if (!asked) return std::string(line);
        auto owed =
            session.begin_request(); // refused while the session ends, and counted as dropped
        if (owed) requests.spawn(answer(std::move(*owed), *asked));
    }
    arrived.erase(0, begin);
    session.inside_message(!arrived.empty());
    if (arrived.size() > line_bytes_max) return arrived;
    return std::nullopt;
}

task<void> converse(session& session, address peer) {
    co_await with_scope([&](scope& requests) -> task<void> {
        std::string arrived;
        for (;;) {
            const auto bytes = co_await session.recv_lease();
            if (!bytes) break; // also because the session is ending
            const auto data = bytes->data();
            arrived.append(reinterpret_cast<const char*>(data.data()), data.size());
            auto malformed = begin_requests(arrived, session, requests);
            if (!malformed) continue;
            complain(peer, std::move(*malformed));
            session.abort();
        }
        (void)co_await session.completed(); // after the last answer, or at the deadline
        requests.cancel();
    });
}

// The sessions of one loop. Those that come out of the accept queue when the group has completed
// are ended by it one by one, and counted here.
struct sessions_here {
    explicit sessions_here(loop& loop) : group(loop), latecomers(loop) {}

    session_group group;
    session_group latecomers;

    void begin_drain(const ending_policy& limits, loop::time_point deadline) {
        session_policy when_draining;
        when_draining.cause = teardown_cause::drain;
        when_draining.limits = limits;
        when_draining.limits.within = 24h;
        when_draining.limits.deadline = deadline;
        group.begin_shutdown(when_draining);
    }
    void add(session& begun) {
        if (!group.add(begun)) latecomers.add(begun);
    }
};

nlohmann::ordered_json to_json(const session_report& report) {
    return {{"peer", report.connection.peer.text()},
            {"began", name(report.began)},
            {"peer_end", name(report.peer)},
            {"requests", report.requests},
            {"answered", report.answered},
            {"canceled", report.canceled},
            {"dropped", report.dropped},
            {"connection", examples::to_json(report.connection)}};
}

class session_server {
public:
    session_server(const examples::serving_options& options, const std::string& file)
        : options_(options) {
        if (!file.empty()) lines_.emplace(file);
    }

    int run() {
        examples::serving_extras extras;
        extras.on_drain = [this](loop& loop, loop::time_point deadline) {
            of(loop).begin_drain(options_.ending.policy, deadline);
        };
        extras.add_totals = [this](nlohmann::ordered_json& totals) { add_to(totals); };
        const int status = examples::serve(
            options_, [this](stream client) { return attend(std::move(client)); }, extras);
        return lines_ && lines_->finish(1s) > 0 ? 1 : status;
    }

private:
    sessions_here& of(loop& loop) {
        const std::lock_guard lock(mutex_);
        return by_loop_.try_emplace(&loop, loop).first->second;
    }

    task<void> attend(stream client) {
        loop& loop = client.on();
        const address peer = client.peer();
        session_policy when_client_ends;
        when_client_ends.limits = options_.ending.policy;
        const auto begun =
            std::make_shared<session>(std::move(client), session_role::server, when_client_ends);
        loop.spawn(note_completion(begun));
        of(loop).add(*begun);
        co_await converse(*begun, peer);
    }

    // Beside the handler, which a drain cancels at its deadline.
    task<void> note_completion(std::shared_ptr<session> ended) {
        const auto report = co_await ended->completed();
        if (report && lines_) lines_->write(to_json(*report).dump() + "\n");
    }

    void add_to(nlohmann::ordered_json& totals) {
        session_group_report sum;
        std::uint64_t sessions = 0;
        for (const auto& [loop, each] : by_loop_) {
            for (const session_group* group : {&each.group, &each.latecomers}) {
                const session_group_report& report = group->report();
                sessions += report.sessions;
                sum.requests += report.requests;
                sum.answered += report.answered;
                sum.canceled += report.canceled;
                sum.dropped += report.dropped;
            }
        }
        totals["sessions"] = sessions;
        totals["requests"] = sum.requests;
        totals["answered"] = sum.answered;
        totals["canceled"] = sum.canceled;
        totals["dropped"] = sum.dropped;
    }

    const examples::serving_options& options_;
    std::optional<examples::line_writer> lines_;
    std::mutex mutex_;
    std::map<loop*, sessions_here> by_loop_;
};

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Answers `ID MS BYTES` after MS milliseconds.", "session-server");
    examples::serving_options options;
    std::string sessions;
    examples::add_serving_options(app, options);
    app.add("--sessions", sessions, "write a line of JSON for each session").named("FILE");
    return examples::run_program(app, argc, argv,
                                 [&] { return session_server(options, sessions).run(); });
}
