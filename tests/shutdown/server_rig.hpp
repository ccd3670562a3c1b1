#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "rig.hpp"

namespace ringdown::testing {

/// A server under test on the rig's loop. Its handler is run for every connection and ends it.
class server_rig {
public:
    using body = std::function<task<void>(stream&)>;

    server_rig(rig& at, body handler, server_options options = {},
               std::shared_ptr<listening_socket> socket = nullptr);

    ringdown::server serving;

    /// Runs the server; to be spawned.
    task<void> run();
    [[nodiscard]] bool has_run() const noexcept { return has_run_; }

    [[nodiscard]] peer connect(int receive_buffer = 0) const {
        return connect_peer(serving.local(), receive_buffer);
    }
    /// A client that has had one answer, and whose connection is marked idle.
    task<peer> idle_client();
    task<std::vector<peer>> idle_clients(std::size_t count);
    /// What this server has reported.
    [[nodiscard]] const std::vector<teardown_report>& reports() const noexcept { return reports_; }
    [[nodiscard]] std::size_t count(connection_activity doing) {
        return serving.summary().count(doing);
    }

    /// Waits until this many connections do that.
    task<void> until(connection_activity doing, std::size_t many);

private:
    rig& at_;
    std::vector<teardown_report> reports_;
    bool has_run_ = false;
};

/// Sends back what it receives, marked idle in between; ends gracefully.
task<void> echo(stream& peer);

/// The same, and never marked idle.
task<void> echo_unmarked(stream& peer);

/// Sends, and waits for as many bytes in return, which it checks.
task<void> round_trip(rig& at, peer& with, std::string_view text);

/// Waits until the server's end has arrived at a peer that reads nothing: FIN.
task<void> sees_fin(rig& at, const peer& at_peer);

/// Spawns a drain whose report is to be kept.
task<void> drain_into(server& drained, drain_policy policy, std::optional<drain_report>& into);

/// Checks what every drain must hold that came to its end.
void check_drained(server_rig& of, const drain_report& report);

} // namespace ringdown::testing
