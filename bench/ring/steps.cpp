#include "steps.hpp"

#include <csignal>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

// Child and tracer take turns, so one CPU is best. Restores what was before.
class one_cpu {
public:
    one_cpu() {
        sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(sched_getcpu(), &here);
        sched_setaffinity(0, sizeof here, &here);
    }
    one_cpu(const one_cpu&) = delete;
    one_cpu& operator=(const one_cpu&) = delete;
    ~one_cpu() { sched_setaffinity(0, sizeof before_, &before_); }

private:
    cpu_set_t before_{};
};

[[noreturn]] void run_traced(measured* work, std::size_t count) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
    section marked(true);
    work(marked, 1, count);
    _exit(0);
}

bool stopped_by(pid_t child, int signal) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

// From its first stop to its second.
std::optional<std::uint64_t> step_through(pid_t child) {
    if (!stopped_by(child, SIGSTOP)) return {};
    for (std::uint64_t steps = 0;; ++steps) {
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) return {};
        int status = 0;
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return {};
        if (WSTOPSIG(status) == SIGSTOP) return steps;
        if (WSTOPSIG(status) != SIGTRAP) return {};
    }
}

std::optional<std::uint64_t> steps_of(measured* work, std::size_t count) {
    const pid_t child = fork();
    if (child == 0) run_traced(work, count);
    if (child < 0) return {};
    const auto steps = step_through(child);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return steps;
}

} // namespace

std::optional<double> count_instructions(measured* work) {
    const one_cpu pinned;
    // What is not repeated, beginning and end, drops out of the difference.
    constexpr std::size_t count = 2 * channel_stages;
    const auto once = steps_of(work, count);
    const auto twice = steps_of(work, 2 * count);
    if (!once || !twice) return {};
    return static_cast<double>(*twice - *once) / static_cast<double>(count);
}

} // namespace bench
