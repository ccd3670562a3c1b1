#pragma once

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ringdown/runtime/capabilities.hpp>
#include <ringdown/runtime/system_calls.hpp>

#include "sim_socket.hpp"

namespace ringdown {

struct sim_options {
    std::uint64_t seed = 1; ///< Decides every order and every inconvenience.
    /// False: everything completes whole, at once and in order.
    bool disturbed = true;
    /// Lets the network go on between two system calls of the library, so also between a sample
    /// and the abort or close that follows it; false makes reports exact to the last detail.
    bool calls_take_time = true;
    /// What every call on a socket takes, so that the network goes on between two of them.
    sim::duration call_time{};
    unsigned submission_entries_max = 0; ///< Smaller queues than the library asks for; 0: as asked.
    unsigned completion_entries_max = 0;
    capability_set missing = {}; ///< What this kernel is too old for.
    /// What closing a socket answers, although it closes, as close(2) may; 0 is success.
    int close_error = 0;
    /// What these calls answer instead of doing anything, as under a filter of system calls; 0:
    /// they are done. `tcp_info` is getsockopt(2) with TCP_INFO.
    int connect_error = 0;
    int setsockopt_error = 0;
    int tcp_info_error = 0;
    /// What every receive that drops what it receives answers; 0: as usual.
    int discard_error = 0;

    /// Faults for mutation tests: a completion that never comes (1 is the first after `disturb`),
    /// and operations that end this long after they were cancelled.
    std::uint64_t drop_completion = 0;
    /// Cancellations of accepts that find none, which then waits on: as of one that is woken in the
    /// breath of its submission, for a connection that somebody else has taken.
    int missed_cancellations = 0;
    sim::duration late_cancel{};

    sim::duration clock_max = std::chrono::hours(24); ///< Later than this is a hang.
    std::uint64_t enters_max = 2'000'000;             ///< More than these are a busy loop.
};

namespace sim {
class ring;
}

/// A kernel for one thread, with simulated TCP sockets, driven by a seed.
///
/// Nothing waits: where all sleep, the virtual clock jumps to the next event. Until the first
/// `adopt_peer` or `disturb` it is calm, so that probing finds what there is. When nothing can ever
/// happen again it says so on standard error and aborts, unless a dropped completion was the
/// reason: that one then arrives after all, and `hung` tells.
/// Lifetime: longer than every loop made with it; descriptors and truth live as long as it does.
class sim_kernel final : public system_calls {
public:
    explicit sim_kernel(const sim_options& options = {});
    ~sim_kernel() override;

    /// A connected socket whose other end follows the script from now on.
    int adopt_peer(const peer_script& script);
    /// A peer that connects to what listens on this descriptor, and then follows the script.
    void connect_peer(int listening, const peer_script& script);
    /// Sends on such a socket as its application does by itself before it hands it over; a number
    /// of bytes of `sim_payload`.
    void send_before(int fd, std::uint64_t bytes);
    /// Answers the next accepts that find somebody with this error; `takes`: and takes them off the
    /// queue, as when they have gone meanwhile.
    void fail_accepts(int error, int times, bool takes = false) {
        accept_error_ = error, accepts_to_fail_ = times, failed_accept_takes_ = takes;
    }
    /// Refuses these questions from now on, as a sandbox may.
    /// @{
    void refuse_tcp_info() { options_.tcp_info_error = EPERM; }
    void refuse_queue_sizes() { refuses_queue_sizes_ = true; }
    /// @}
    /// Begins with disturbances, and with counting completions.
    void disturb() { begun_ = true, world_.disturbed = options_.disturbed; }
    /// Lets time pass in the network alone, as after the last loop has ended.
    void pass(sim::duration time) { world_.advance_to(world_.now() + time); }
    void raise(int signal); ///< Delivers it to every signalfd that wants it.
    /// Calls back at a virtual time from now, between two completions; for a test's own events.
    void after(sim::duration wait, std::function<void()> call) {
        world_.after(wait, std::move(call));
    }

    /// The connections, in the order of `adopt_peer`.
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    [[nodiscard]] const sim_truth& truth(std::size_t connection) const;
    /// What the peer's kernel received.
    [[nodiscard]] std::string_view arrived(std::size_t connection) const;
    /// Linux's number for the state that our kernel sees.
    [[nodiscard]] unsigned state(std::size_t connection) const;

    /// What the library did wrong, one line each; empty is what a test wants.
    [[nodiscard]] const std::vector<std::string>& violations() const { return world_.violations; }
    /// Descriptors that are still open (rings among them), and operations still in flight.
    [[nodiscard]] std::size_t open_descriptors() const { return descriptors_.size(); }
    [[nodiscard]] std::size_t operations_in_flight() const;
    /// Whether everything stood still until the dropped completion was given back.
    [[nodiscard]] bool hung() const { return hung_; }
    [[nodiscard]] std::uint64_t completions_posted() const { return posted_; }

    time_point now() noexcept override { return world_.now(); }
    void pause(std::chrono::nanoseconds time) noexcept override { pass(time); }
    std::uint64_t locked_memory_max() noexcept override { return ~std::uint64_t{}; }
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override;
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t argument_bytes) noexcept override;
    int ring_register(int ring, unsigned opcode, void* argument, unsigned count) noexcept override;
    void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept override;
    void unmap(void*, std::size_t) noexcept override {}

    int socket(int domain, int type, int protocol) noexcept override;
    int bind(int fd, const sockaddr* address, socklen_t bytes) noexcept override;
    int listen(int fd, int backlog) noexcept override;
    int connect(int fd, const sockaddr* address, socklen_t bytes) noexcept override;
    int shutdown(int fd, int how) noexcept override;
    int close(int fd) noexcept override;
    int getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept override;
    int getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept override;
    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override;
    int ioctl(int fd, unsigned long request, int& answer) noexcept override;
    int send(int fd, const void* data, std::size_t bytes, int flags) noexcept override;
    int recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept override;
    int recvmsg(int fd, msghdr& message, int flags) noexcept override;
    int set_nonblocking(int fd, bool on) noexcept override;
    // No files here, so no unix socket has a path.
    int process_id() noexcept override { return 1; }
    int working_folder(char*, std::size_t) noexcept override { return -EOPNOTSUPP; }
    int file_status(const char*, struct stat&) noexcept override { return -ENOENT; }
    int unlink(const char*) noexcept override { return -ENOENT; }
    int chmod(const char*, mode_t) noexcept override { return -ENOENT; }
    int fchmod(int, mode_t) noexcept override { return -EOPNOTSUPP; }
    int open_folder(const char*) noexcept override { return -ENOENT; }
    int flock(int, int) noexcept override { return -EOPNOTSUPP; }
    int eventfd() noexcept override;
    int signalfd(std::uint64_t mask) noexcept override;
    int read(int fd, void* buffer, std::size_t bytes) noexcept override;
    int write(int fd, const void* buffer, std::size_t bytes) noexcept override;

private:
    friend class sim::ring;

    template <class File, class... Arguments>
    int open(Arguments&&... arguments);
    [[nodiscard]] sim::file* find(int fd) const;
    template <class File>
    [[nodiscard]] File* find(int fd) const {
        return dynamic_cast<File*>(find(fd));
    }
    /// Calls `what` on the socket, some time after the last call.
    template <class Call>
    int on_socket(int fd, Call what);
    int close_descriptor(int fd, bool on_ring);
    void spend_time(); ///< As calls do.
    int open_connection(const peer_script& script);
    /// The next who has connected, as accept4(2).
    int accept_from(sim::tcp_socket& listening);
    bool count_completion(); ///< False for the one that is dropped.
    /// Goes to the next event or to `until`; false when there is neither.
    bool sleep(std::optional<time_point> until);
    [[noreturn]] void fail(const std::string& why) const;

    sim_options options_;
    sim::world world_;
    std::vector<std::unique_ptr<sim::file>> files_; // closed ones too: the network still knows them
    std::map<int, sim::file*> descriptors_;
    std::vector<sim::tcp_socket*> connections_;
    std::vector<sim::ring*> registered_;
    std::vector<sim::ring*> rings_; // open ones
    std::uint64_t posted_ = 0;
    std::uint64_t enters_ = 0;
    bool begun_ = false;
    bool refuses_queue_sizes_ = false;
    int accept_error_ = 0;
    int accepts_to_fail_ = 0;
    bool failed_accept_takes_ = false;
    bool hung_ = false;
};

} // namespace ringdown
