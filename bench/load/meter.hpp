#pragma once

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace load {

/// What a process has used so far.
struct usage {
    std::uint64_t cpu_nanoseconds = 0;    ///< With every thread, the kernel's workers for it too.
    std::uint64_t waited_nanoseconds = 0; ///< Ready, while somebody else had the CPU.
    std::optional<std::uint64_t> system_calls; ///< Where counting is permitted.
    std::optional<std::uint64_t> operations;   ///< Submitted to a ring.
    std::optional<std::uint64_t> punts;        ///< Operations that a ring handed to a worker.
};

/// Reads the kernel's numbers about a server.
class meter {
public:
    /// `counts` system calls as well, of the thread that the process began with.
    meter(pid_t process, bool counts);
    meter(const meter&) = delete;
    meter& operator=(const meter&) = delete;
    ~meter();

    [[nodiscard]] usage read() const;
    /// The same of this process, whose system calls nobody counts.
    [[nodiscard]] static usage read_own();
    /// Sockets that the process has open.
    [[nodiscard]] int sockets() const;
    /// The kernel's worker threads that belong to it.
    [[nodiscard]] int workers() const;
    /// Memory of the process itself, in bytes.
    [[nodiscard]] std::uint64_t resident() const;
    /// Memory that the whole machine's kernel has allocated and cannot give back, in bytes.
    [[nodiscard]] static std::uint64_t kernel_memory();

private:
    pid_t process_;
    clockid_t clock_ = 0;
    int task_clock_ = -1; // exact, where the clock moves with the scheduler's ticks
    int system_calls_ = -1;
    int operations_ = -1;
    int punts_ = -1;
};

} // namespace load
