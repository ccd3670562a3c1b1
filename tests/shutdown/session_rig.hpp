#pragma once

#include <optional>
#include <string>
#include <system_error>

#include <netinet/tcp.h>

#include "rig.hpp"

namespace ringdown::testing {

/// A session under test and who it talks to.
struct dialogue {
    session ours;
    peer theirs;
};

inline dialogue converse(rig& at, session_role role, const session_policy& when_peer_ends = {},
                         const pair_options& options = {}) {
    auto made = at.connect(options);
    return {session(std::move(made.ours), role, when_peer_ends), std::move(made.theirs)};
}

inline session_policy within(std::chrono::nanoseconds time) {
    session_policy policy;
    policy.limits.within = time;
    return policy;
}

inline session_policy canceling_unsent() {
    session_policy policy;
    policy.unsent = unsent_sends::cancel;
    return policy;
}

/// Who began, how the peer ended, and what became of the requests: begun, answered, canceled,
/// dropped.
inline std::string row(const session_report& of) {
    std::string all = std::string(name(of.began)) + " " + std::string(name(of.peer));
    for (const auto count : {of.requests, of.answered, of.canceled, of.dropped})
        all += " " + std::to_string(count);
    return all;
}

/// Every event until there are no more, as their names.
inline task<void> note_events(session& of, std::string& into) {
    for (;;) {
        const auto next = co_await of.next_event();
        if (!next || !*next) {
            if (!next) into += " " + next.error().message();
            co_return;
        }
        into.append(into.empty() ? "" : " ").append(name(**next));
    }
}

/// What a session received until that failed.
struct received {
    std::string text;
    std::error_code end;
};

inline task<void> receive_all(session& by, received& into, bool as_lease = false) {
    std::byte buffer[4096];
    while (!into.end) {
        if (as_lease) {
            const auto got = co_await by.recv_lease();
            if (!got) {
                into.end = got.error();
            } else {
                const auto bytes = got->data();
                into.text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            }
        } else {
            const auto got = co_await by.recv(buffer);
            if (!got)
                into.end = got.error();
            else
                into.text.append(reinterpret_cast<const char*>(buffer), *got);
        }
    }
}

/// The whole answer of a request, or the whole request of a client.
inline task<void> send_on(request& on, std::span<const std::byte> data, sent& outcome) {
    outcome = co_await on.send(data);
}
inline task<void> answer(request owed, std::span<const std::byte> data, sent& outcome) {
    outcome = co_await owed.send(data);
    owed.finish();
}
inline task<void> send_beside(session& by, std::span<const std::byte> data, sent& outcome,
                              int& times_told) {
    outcome = co_await by.send(data);
    ++times_told;
}

inline task<session_report> report_of(session& of) {
    const auto done = co_await of.completed();
    REQUIRE(done.has_value());
    co_return *done;
}
inline task<void> completion_into(session& of, std::optional<session_report>& into) {
    into = co_await report_of(of);
}

/// Whether our FIN has come to the peer, without waiting and without reading.
inline bool has_our_fin(const peer& of) {
    const int state = of.tcp_state();
    return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING ||
           state == TCP_CLOSE || state == TCP_TIME_WAIT;
}
inline task<void> our_fin_arrives(rig& at, const peer& of) {
    const bool came = co_await eventually(at, [&of] { return has_our_fin(of); });
    CHECK(came);
}

} // namespace ringdown::testing
