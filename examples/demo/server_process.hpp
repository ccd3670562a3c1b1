#pragma once

#include "sockets.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace ringdown_demo {

/// The server under test, as a child process. It does not outlive its owner.
class server_process {
public:
    /// Starts `program`, with more options perhaps, and waits until it listens. Throws with a
    /// reason if it does not.
    server_process(const std::filesystem::path& program, const std::filesystem::path& reports,
                   std::string_view drain, const std::vector<std::string>& more = {});
    ~server_process();
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;

    [[nodiscard]] const sockaddr_in& address() const { return address_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Asks it to drain (SIGTERM).
    void drain() const;
    void kill() const;
    /// Takes in what it printed; true once it has ended.
    [[nodiscard]] bool has_ended();
    /// How it ended, in words; empty if it exited with 0.
    [[nodiscard]] std::string complaint() const;
    /// The last whole line that it printed.
    [[nodiscard]] std::string last_line() const;

private:
    void start(const std::filesystem::path& program, const std::filesystem::path& reports,
               std::string_view drain, const std::vector<std::string>& more);
    void await_listening();
    void read_output();

    pid_t pid_ = -1;
    descriptor output_;
    std::string text_; ///< all that it printed
    sockaddr_in address_{};
    std::optional<int> status_; ///< from waitpid; nothing while it runs
};

} // namespace ringdown_demo
