#include "sim_kernel.hpp"

#include <cstdio>
#include <cstdlib>

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "sim_ring.hpp"

namespace ringdown {

using namespace std::chrono_literals;
using sim::event_file;
using sim::tcp_socket;

constexpr int first_descriptor = 1'000; // far from real ones, so that a mix-up shows

sim_kernel::sim_kernel(const sim_options& options) : options_(options), world_(options.seed) {}

sim_kernel::~sim_kernel() = default;

template <class File, class... Arguments>
int sim_kernel::open(Arguments&&... arguments) {
    int fd = first_descriptor; // the lowest free one, which makes reuse show
    while (descriptors_.contains(fd))
        ++fd;
    files_.push_back(std::make_unique<File>(std::forward<Arguments>(arguments)...));
    descriptors_[fd] = files_.back().get();
    return fd;
}

int sim_kernel::adopt_peer(const peer_script& script) {
    disturb();
    return open_connection(script);
}

int sim_kernel::open_connection(const peer_script& script) {
    const auto port = static_cast<unsigned short>(20'000 + connections_.size());
    const int fd = open<tcp_socket>(world_, script, port);
    connections_.push_back(find<tcp_socket>(fd));
    return fd;
}

void sim_kernel::connect_peer(int listening, const peer_script& script) {
    if (auto* socket = find<tcp_socket>(listening)) socket->knock(script); // else it is refused
}

int sim_kernel::accept_from(tcp_socket& listening) {
    if (accepts_to_fail_ > 0 && listening.poll_mask()) {
        --accepts_to_fail_;
        if (failed_accept_takes_) (void)listening.next_in_queue();
        return -accept_error_;
    }
    const auto next = listening.next_in_queue();
    return next ? open_connection(*next) : -EAGAIN;
}

sim::file* sim_kernel::find(int fd) const {
    const auto found = descriptors_.find(fd);
    return found == descriptors_.end() ? nullptr : found->second;
}

const sim_truth& sim_kernel::truth(std::size_t connection) const {
    return connections_.at(connection)->truth;
}

std::string_view sim_kernel::arrived(std::size_t connection) const {
    const tcp_socket& socket = *connections_.at(connection);
    return socket.stream().substr(0, socket.truth.arrived);
}

unsigned sim_kernel::state(std::size_t connection) const {
    return connections_.at(connection)->now();
}

std::size_t sim_kernel::operations_in_flight() const {
    std::size_t count = 0;
    for (auto& each : files_)
        if (auto* ring = dynamic_cast<sim::ring*>(each.get())) count += ring->in_flight();
    return count;
}

void sim_kernel::raise(int signal) {
    for (auto& [fd, each] : descriptors_)
        if (auto* event = dynamic_cast<event_file*>(each))
            event->raise(static_cast<unsigned>(signal));
}

bool sim_kernel::count_completion() { return !begun_ || ++posted_ != options_.drop_completion; }

bool sim_kernel::sleep(std::optional<time_point> until) {
    const auto event = world_.next();
    if (event && (!until || *event < *until)) until = event;
    if (until && *until - time_point(1h) <= options_.clock_max)
        return world_.advance_to(*until), true;
    for (auto& each : files_) {
        auto* ring = dynamic_cast<sim::ring*>(each.get());
        if (!ring || !ring->has_dropped()) continue;
        hung_ = true;
        ring->return_dropped();
        return true;
    }
    return false;
}

void sim_kernel::fail(const std::string& why) const {
    std::fprintf(stderr, "sim_kernel (seed %llu): %s\n",
                 static_cast<unsigned long long>(options_.seed), why.c_str());
    for (auto& each : files_)
        if (auto* ring = dynamic_cast<sim::ring*>(each.get()); ring && ring->in_flight())
            std::fprintf(stderr, "in flight:%s\n", ring->describe().c_str());
    for (auto& [fd, each] : descriptors_)
        if (auto* socket = dynamic_cast<tcp_socket*>(each))
            std::fprintf(stderr, "socket %d: TCP state %d, %d to send, %d to read\n", fd,
                         socket->now(), socket->queued_out(), socket->queued_in());
    std::abort();
}

int sim_kernel::ring_setup(unsigned entries, io_uring_params& params) noexcept {
    const int refused = sim::ring::check(options_, entries, params.flags);
    if (refused < 0) return refused;
    const int fd = open<sim::ring>(*this, entries, params);
    rings_.push_back(find<sim::ring>(fd));
    return fd;
}

int sim_kernel::ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                           const void* argument, std::size_t argument_bytes) noexcept {
    if (++enters_ > options_.enters_max) fail("is entered again and again: a busy loop");
    world_.advance_to(world_.now() + 1us + world_.up_to(2us));
    const auto index = static_cast<std::size_t>(ring);
    auto* entered = find<sim::ring>(ring);
    if (flags & IORING_ENTER_REGISTERED_RING)
        entered = index < registered_.size() ? registered_[index] : nullptr;
    if (!entered) return -EBADF;
    std::optional<sim::duration> timeout;
    if (flags & IORING_ENTER_EXT_ARG) {
        if (argument_bytes != sizeof(io_uring_getevents_arg)) return -EINVAL;
        const auto* events = static_cast<const io_uring_getevents_arg*>(argument);
        if (const auto* time = reinterpret_cast<const __kernel_timespec*>(events->ts))
            timeout = std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec);
    }
    return entered->enter(to_submit, min_complete, flags, timeout);
}

int sim_kernel::ring_register(int fd, unsigned opcode, void* argument, unsigned count) noexcept {
    auto* ring = find<sim::ring>(fd);
    if (!ring) return -EBADF;
    if (opcode != IORING_REGISTER_RING_FDS && opcode != IORING_UNREGISTER_RING_FDS)
        return ring->set_up(opcode, argument, count);
    if (options_.missing.has(capability::registered_ring)) return -EINVAL;
    auto& update = *static_cast<io_uring_rsrc_update*>(argument);
    if (opcode == IORING_REGISTER_RING_FDS) {
        update.offset = static_cast<unsigned>(registered_.size());
        registered_.push_back(find<sim::ring>(static_cast<int>(update.data)));
    } else if (update.offset < registered_.size()) {
        registered_[update.offset] = nullptr;
    }
    return 1;
}

void* sim_kernel::map_ring(int fd, std::size_t bytes, std::uint64_t offset) noexcept {
    auto* ring = find<sim::ring>(fd);
    return ring ? ring->map(bytes, offset) : nullptr;
}

int sim_kernel::close_descriptor(int fd, bool on_ring) {
    sim::file* const file = find(fd);
    if (!file) {
        world_.violation("close of descriptor " + std::to_string(fd) + ", which is not open");
        return -EBADF;
    }
    auto* const closed = dynamic_cast<tcp_socket*>(file);
    // Where the close resets, it gives back the buffers of zero-copy sends that wait for that only.
    const bool frees = closed && closed->resets_when_closed();
    const auto uses = [frees](const sim::operation* each) {
        return !frees || each->stage != sim::operation::phase::notification;
    };
    // On the ring it may come right behind an operation that has ended and is yet to be told.
    const std::size_t in_use =
        static_cast<std::size_t>(std::ranges::count_if(file->watchers(), uses)) +
        (on_ring ? 0 : file->unposted);
    if (in_use > 0)
        world_.violation("descriptor " + std::to_string(fd) + " was closed with " +
                         std::to_string(in_use) + " operations in flight on it");
    if (std::ranges::find(registered_, file) != registered_.end())
        world_.violation("a ring was closed while it was registered");
    std::erase(rings_, dynamic_cast<sim::ring*>(file));
    if (closed) {
        closed->truth.closed = true;
        closed->truth.closed_at = world_.now();
        closed->truth.closed_in_use = in_use > 0;
    }
    descriptors_.erase(fd);
    file->closed();
    return closed ? -options_.close_error : 0;
}

int sim_kernel::close(int fd) noexcept {
    auto* socket = find<tcp_socket>(fd);
    const bool unread = socket && socket->queued_in() > 0;
    spend_time();
    if (socket) socket->truth.closed_late = !unread && socket->queued_in() > 0;
    return close_descriptor(fd, false);
}

void sim_kernel::spend_time() {
    if (options_.calls_take_time && world_.one_in(4))
        world_.advance_to(world_.now() + world_.up_to(40us));
    if (options_.call_time > 0ns) world_.advance_to(world_.now() + options_.call_time);
}

template <class Call>
int sim_kernel::on_socket(int fd, Call what) {
    spend_time();
    if (!find(fd)) return -EBADF;
    auto* socket = find<tcp_socket>(fd);
    const int answer = socket ? what(*socket) : -ENOTSOCK;
    if (options_.calls_take_time)
        for (sim::ring* each : rings_)
            each->call_returns();
    return answer;
}

int sim_kernel::socket(int domain, int type, int) noexcept {
    constexpr int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    if (domain != AF_INET || (type & ~flags) != SOCK_STREAM) return -EAFNOSUPPORT;
    return open<tcp_socket>(world_);
}

int sim_kernel::bind(int fd, const sockaddr*, socklen_t) noexcept {
    return on_socket(fd, [](tcp_socket&) { return 0; });
}

int sim_kernel::listen(int fd, int) noexcept {
    return on_socket(fd, [](tcp_socket& on) { return on.listen(); });
}

int sim_kernel::connect(int fd, const sockaddr* address, socklen_t) noexcept {
    if (address->sa_family != AF_UNSPEC) return -EOPNOTSUPP;
    if (options_.connect_error) return -options_.connect_error;
    return on_socket(fd, [](tcp_socket& on) { return on.disconnect(); });
}

int sim_kernel::shutdown(int fd, int how) noexcept {
    return on_socket(fd, [&](tcp_socket& on) { return on.shutdown(how); });
}

int sim_kernel::getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept {
    return on_socket(fd, [&](tcp_socket&) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(1'000);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        std::memcpy(address, &name, std::min<std::size_t>(*bytes, sizeof name));
        *bytes = sizeof name;
        return 0;
    });
}

int sim_kernel::getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept {
    if (level == IPPROTO_TCP && name == TCP_INFO && options_.tcp_info_error)
        return -options_.tcp_info_error;
    return on_socket(fd, [&](tcp_socket& on) { return on.get_option(level, name, value, *bytes); });
}

int sim_kernel::setsockopt(int fd, int level, int name, const void* value,
                           socklen_t bytes) noexcept {
    if (options_.setsockopt_error) return -options_.setsockopt_error;
    return on_socket(fd, [&](tcp_socket& on) { return on.set_option(level, name, value, bytes); });
}

int sim_kernel::ioctl(int fd, unsigned long request, int& answer) noexcept {
    if (refuses_queue_sizes_) return -EPERM;
    return on_socket(fd, [&](tcp_socket& on) {
        if (request != SIOCOUTQ && request != SIOCINQ) return -ENOTTY;
        answer = request == SIOCOUTQ ? on.queued_out() : on.queued_in();
        return 0;
    });
}

int sim_kernel::send(int fd, const void* data, std::size_t bytes, int flags) noexcept {
    return on_socket(fd, [&](tcp_socket& on) {
        if (!(flags & MSG_DONTWAIT)) world_.violation("send(2) without MSG_DONTWAIT may block");
        for (const sim::operation* each : on.watchers())
            if (each->is_send() && each->stage == sim::operation::phase::waiting)
                world_.violation("send(2) beside a send on the ring");
        const std::size_t some = bytes > 0 && world_.one_in(4) ? 1 + world_.below(bytes) : bytes;
        return on.send(static_cast<const char*>(data), some, flags & MSG_MORE);
    });
}

int sim_kernel::recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept {
    return on_socket(fd, [&](tcp_socket& on) {
        if (!(flags & MSG_DONTWAIT)) world_.violation("recv(2) without MSG_DONTWAIT may block");
        return on.receive(static_cast<char*>(buffer), bytes, flags & MSG_TRUNC, flags & MSG_PEEK);
    });
}

int sim_kernel::recvmsg(int fd, msghdr& message, int flags) noexcept {
    return on_socket(fd, [&](tcp_socket& on) {
        const iovec& part = *message.msg_iov;
        const int got = on.receive(static_cast<char*>(part.iov_base), part.iov_len,
                                   flags & MSG_TRUNC, flags & MSG_PEEK);
        cmsghdr* told = CMSG_FIRSTHDR(&message);
        if (got < 0 || !told || !on.tells_inq()) return message.msg_controllen = 0, got;
        const int queued = on.queued_in_with_fin();
        told->cmsg_level = IPPROTO_TCP;
        told->cmsg_type = TCP_CM_INQ;
        told->cmsg_len = CMSG_LEN(sizeof queued);
        std::memcpy(CMSG_DATA(told), &queued, sizeof queued);
        message.msg_controllen = CMSG_SPACE(sizeof queued);
        return got;
    });
}

void sim_kernel::send_before(int fd, std::uint64_t bytes) {
    std::string text;
    for (std::uint64_t at = 0; at < bytes; ++at)
        text += sim_payload(at);
    find<tcp_socket>(fd)->send(text.data(), text.size(), false);
}

int sim_kernel::set_nonblocking(int fd, bool) noexcept { return find(fd) ? 0 : -EBADF; }

int sim_kernel::eventfd() noexcept { return open<event_file>(); }

int sim_kernel::signalfd(std::uint64_t mask) noexcept { return open<event_file>(mask); }

int sim_kernel::read(int fd, void* buffer, std::size_t bytes) noexcept {
    sim::file* const file = find(fd);
    return file ? file->read(buffer, bytes) : -EBADF;
}

int sim_kernel::write(int fd, const void* buffer, std::size_t bytes) noexcept {
    sim::file* const file = find(fd);
    return file ? file->write(buffer, bytes) : -EBADF;
}

} // namespace ringdown
