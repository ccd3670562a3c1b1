#include "meter.hpp"

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.hpp"

namespace load {
namespace {

// A counter of a tracepoint, or -1 where that is not permitted.
int count_event(const char* name, pid_t process) {
    perf_event_attr wanted{};
    wanted.type = PERF_TYPE_TRACEPOINT;
    wanted.size = sizeof wanted;
    for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
        std::ifstream id(std::string(root) + "/events/" + name + "/id");
        if (id >> wanted.config)
            return static_cast<int>(syscall(SYS_perf_event_open, &wanted, process, -1, -1, 0));
    }
    return -1;
}

// Time on a CPU, with that of threads that are still to be started.
int count_time(pid_t process) {
    perf_event_attr wanted{};
    wanted.type = PERF_TYPE_SOFTWARE;
    wanted.size = sizeof wanted;
    wanted.config = PERF_COUNT_SW_TASK_CLOCK;
    wanted.inherit = 1;
    return static_cast<int>(syscall(SYS_perf_event_open, &wanted, process, -1, -1, 0));
}

std::optional<std::uint64_t> read_event(int counter) {
    std::uint64_t value = 0;
    if (counter < 0 || ::read(counter, &value, sizeof value) != sizeof value) return {};
    return value;
}

// The second number of schedstat, of the thread that the process began with.
std::uint64_t waited(const std::string& process) {
    std::uint64_t ran = 0;
    std::uint64_t waited = 0;
    std::ifstream("/proc/" + process + "/schedstat") >> ran >> waited;
    return waited;
}

std::uint64_t nanoseconds(const timespec& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// The number of kibibytes behind a name such as `VmRSS:`, in bytes.
std::uint64_t memory_of(const std::string& file, const std::string& wanted) {
    std::ifstream lines(file);
    std::string name;
    std::uint64_t kibibytes = 0;
    while (lines >> name)
        if (name == wanted && lines >> kibibytes) return kibibytes * 1024;
    return 0;
}

} // namespace

meter::meter(pid_t process, bool counts) : process_(process) {
    const int refused = clock_getcpuclockid(process, &clock_);
    errno = refused;
    must(refused == 0, "the server's CPU clock");
    task_clock_ = count_time(process);
    if (!counts) return;
    system_calls_ = count_event("raw_syscalls/sys_enter", process);
    operations_ = count_event("io_uring/io_uring_submit_req", process);
    punts_ = count_event("io_uring/io_uring_queue_async_work", process);
}

meter::~meter() {
    for (const int counter : {task_clock_, system_calls_, operations_, punts_})
        if (counter >= 0) close(counter);
}

usage meter::read() const {
    timespec used{};
    must(clock_gettime(clock_, &used) == 0, "the server is gone");
    const auto exact = read_event(task_clock_);
    return {exact.value_or(nanoseconds(used)), waited(std::to_string(process_)),
            read_event(system_calls_), read_event(operations_), read_event(punts_)};
}

usage meter::read_own() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return {nanoseconds(used), waited("self"), {}, {}, {}};
}

int meter::sockets() const {
    int found = 0;
    std::error_code unreadable;
    const std::string folder = "/proc/" + std::to_string(process_) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
        std::error_code gone;
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (!gone && target.string().starts_with("socket:")) ++found;
    }
    return found;
}

int meter::workers() const {
    int found = 0;
    std::error_code unreadable;
    const std::string folder = "/proc/" + std::to_string(process_) + "/task";
    for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
        std::string name;
        std::ifstream(entry.path() / "comm") >> name;
        if (name.starts_with("iou-wrk")) ++found;
    }
    return found;
}

std::uint64_t meter::resident() const {
    return memory_of("/proc/" + std::to_string(process_) + "/status", "VmRSS:");
}

std::uint64_t meter::kernel_memory() { return memory_of("/proc/meminfo", "SUnreclaim:"); }

} // namespace load
