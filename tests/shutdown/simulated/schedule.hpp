#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ringdown/shutdown/ending/report.hpp>

namespace schedules {

/// How the connection of a schedule is ended.
enum class way {
    graceful,
    abort,
    background,
    wait,
    dropped,
    scope_canceled,
    loop_ends,
    disconnect,     ///< Graceful, and the descriptor stays open.
    release,        ///< The open connection is handed out.
    session_server, ///< A session that owes answers.
    session_client, ///< A session to which answers are due.
    any,            ///< One or two connections, whatever can be called on them, in any order.
};

std::string_view name(way how);

/// 10,000 of each; a build that is many times slower asks for fewer by RINGDOWN_SCHEDULES.
std::uint64_t of_each();

struct options {
    way how = way::graceful;
    std::uint64_t seed = 1;
    bool layered = false;              ///< Above a layer, which the peers speak as well.
    std::uint64_t drop_completion = 0; ///< A mutation: this one never comes.
    /// Of a layer: it sends nothing before its peer has said hello.
    [[nodiscard]] bool handshake() const { return layered && seed % 4 == 0; }
    int close_error = 0;      ///< What the close of the connection answers.
    int connect_error = 0;    ///< What connect(2), which is to reset, answers.
    int setsockopt_error = 0; ///< What setsockopt(2) answers.
};

struct outcome {
    std::vector<std::string> complaints; ///< What was not as promised; empty is what is wanted.
    /// None if the peer had reset before the connection could be adopted.
    std::vector<ringdown::teardown_report> reports;
    std::uint64_t completions = 0;
    bool exact = false; ///< Nothing came between the last questions and the end.
    std::string peer;   ///< What the peer did, for a person who looks into a failure.
};

/// Drives one connection through one order of events, on the simulated kernel: an application that
/// does what the seed says, a peer that does what the seed says, and then the ending.
outcome run(const options& what);

} // namespace schedules
