#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <ringdown/net/address.hpp>
#include <ringdown/net/internal/accept_group.hpp>
#include <ringdown/net/internal/unix_path.hpp>
#include <ringdown/net/refusal.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/event.hpp>

namespace ringdown {

class acceptor;

struct listen_options {
    int backlog = 4096;        ///< Connections that may wait to be accepted.
    bool no_delay = true;      ///< TCP_NODELAY, which accepted connections inherit.
    bool reuse_address = true; ///< SO_REUSEADDR: a restart may take a port with TIME_WAIT on it.
    bool reuse_port = false;   ///< SO_REUSEPORT. Closing one of several resets its share.
    /// IPV6_V6ONLY: an IPv6 address takes no IPv4 clients, so `0.0.0.0` and `[::]` can be listened
    /// on side by side, at one port. Absent: what the system says (`net.ipv6.bindv6only`, usually
    /// false). Of no consequence to other addresses.
    std::optional<bool> ipv6_only{};
    bool packets = false;     ///< SOCK_SEQPACKET, at a unix address, for a `packet_listener`.
    unix_path_options path{}; ///< Of a unix address that is no abstract name: what becomes of it.
};

/// A listening descriptor, which several loops may accept from.
///
/// One descriptor that is shared loses no connection when one of them stops accepting.
/// Threads: any.
class listening_socket {
public:
    /// Binds and listens.
    ///
    /// A unix path is taken over where nobody has the socket open that it names; see
    /// `unix_path_options`.
    /// Errors: throws `std::system_error` whose text names the address (`address_in_use`, …).
    explicit listening_socket(const address& at, const listen_options& options = {},
                              system_calls& calls = kernel());
    /// Takes over a descriptor that listens already, handed over by another process.
    ///
    /// Errors: throws `std::system_error` when it does not listen, or is neither TCP nor a unix
    /// socket; the descriptor stays the caller's then.
    explicit listening_socket(int fd, system_calls& calls = kernel());
    listening_socket(const listening_socket&) = delete;
    listening_socket& operator=(const listening_socket&) = delete;
    ~listening_socket();

    /// -1 once it is closed: when newcomers were refused, and the last listener has gone.
    [[nodiscard]] int descriptor() const noexcept { return fd_.load(std::memory_order_relaxed); }
    /// Where it listens, or did; a port of 0 has become the one that the kernel picked.
    [[nodiscard]] const address& local() const noexcept { return local_; }
    [[nodiscard]] transport_traits traits() const noexcept { return traits_; }

    /// Refuses newcomers, while those that wait can still be accepted. Cannot be taken back.
    ///
    /// It takes the first way of `refusal` that the kernel permits, so that no late client is
    /// half-served. Each way acts on the socket itself, whoever else holds a descriptor of it. When
    /// the last listener has gone, the socket stops listening and the descriptor here is closed,
    /// also while the program keeps this object: newcomers are refused then, not left hanging.
    /// Without a listener that happens when this object is destroyed. The path of a unix socket is
    /// given up at once.
    /// Errors: what the kernel said to the last way (`operation_not_permitted`); newcomers come as
    /// before then. A second call answers the same.
    result<refusal> refuse_newcomers() noexcept;
    /// Removes the path of a unix socket, if this socket made it and it is still its own; which
    /// the destructor does as well. See `unix_path_options`.
    void give_up_path() noexcept { path_.remove(); }

    /// The listeners of this process that accept from it, and what of them is still in flight.
    /// @{
    [[nodiscard]] accept_group& accepting() noexcept { return accepting_; }
    /// False when it is closed.
    bool join() noexcept;
    /// To be called by each that joined, once it accepts no more.
    void leave() noexcept;
    /// @}

    /// Takes back what an accepted socket has inherited of the refusal.
    void accepted(int fd) const noexcept {
        if (demands_hops_.load(std::memory_order_acquire)) before_.give_back(calls_, fd);
    }

private:
    void close_on_failure(int refused, const std::string& what);
    result<refusal> refuse_tcp() noexcept;
    int demand_hops() noexcept;

    system_calls& calls_;
    std::atomic<int> fd_; // written while `changing_` is held
    transport_traits traits_ = transports::tcp;
    address local_;
    unix_path path_;

    accept_group accepting_;
    std::mutex changing_;
    int joined_ = 0;
    std::optional<result<refusal>> refused_;
    hop_limits before_;
    std::atomic<bool> demands_hops_{false}; // released by whoever has read `before_`
};

/// How long `listener::stop` waits for handshakes that had begun.
struct handshake_patience {
    /// The longest. It is over as soon as the kernel counts none. A handshake of which SYN-ACK was
    /// lost takes a second and a round trip.
    std::chrono::nanoseconds within = std::chrono::milliseconds(1500);
    /// Where the kernel does not count them (sock_diag(7) is missing or forbidden), this time is
    /// waited for, if it is the shorter.
    std::chrono::nanoseconds uncounted = std::chrono::milliseconds(10);
};

/// Accepts connections on one loop.
///
/// A few are accepted before they are asked for, and kept; the others wait in the kernel's queue,
/// up to `listen_options::backlog`. A listener that is destroyed aborts those that nobody asked
/// for; `stop` serves them.
///
/// Listeners on several loops that share a `listening_socket` share what comes, whenever they
/// begin: each is at most two connections ahead of the others, bursts included. One that does not
/// accept at the moment, because it was not asked or has no descriptors left, is left out.
/// Lifetime: its loop outlives it.
class listener {
public:
    static constexpr std::size_t unlimited = static_cast<std::size_t>(accept_member::unlimited);

    /// Accepts up to `ahead` connections that nobody has asked for, 1 at least. `unlimited`, and
    /// whatever is more, costs the least: then everyone is taken who waits, at once.
    /// Errors: throws `std::system_error` when `from` was closed because newcomers are refused.
    listener(loop& loop, std::shared_ptr<listening_socket> from, std::size_t ahead = 4);
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener();

    /// The next connection.
    ///
    /// Errors: `too_many_files_open` and the like, after which accepting has paused until the
    /// next call; `errc::ending` when stopped and nothing is left to be taken;
    /// `operation_canceled`.
    /// Cancellation: safe; a connection that was accepted is kept for the next call.
    /// Source: accept(2), IORING_ACCEPT_MULTISHOT (Linux 5.19).
    task<result<stream>> accept();

    /// From now on, at most so many are accepted that nobody has asked for. It may be called at any
    /// time, and holds for a `stop` that comes after it. One thing exceeds it: a connection that
    /// another loop has accepted as its listener went, and that would be reset otherwise. Not with
    /// `unlimited`, nor for a listener that was made so.
    void limit(std::size_t ahead);

    /// Refuses newcomers and accepts everyone who waits in the kernel's queue; `accept` goes on
    /// to hand them out and then answers `errc::ending`. The socket is closed when no loop that
    /// shares it accepts any more, also when the program keeps its `listening_socket`.
    ///
    /// Handshakes that had begun have time to complete; one that takes longer is reset by the
    /// kernel, as if the client had come too late. Answers how newcomers are kept away; with
    /// `refusal::denied` they are not, `denied_by` says why, and handshakes are not waited for.
    /// Errors: `too_many_files_open` and the like when some may still wait, and
    /// `errc::connection_limit` where `limit` allows no more; call again when there is room.
    /// Cancellation: ends the time for handshakes; nobody who waits is lost.
    task<result<refusal>> stop(handshake_patience patience = {});

    /// Refuses newcomers without waiting for anything; to be followed by `stop` or `close`.
    refusal refuse() noexcept;
    /// Why the kernel refused every way to refuse newcomers; no error while it did not.
    [[nodiscard]] std::error_code denied_by() const noexcept { return denied_by_; }

    /// Leaves accepting to others, if any accept from the same socket in this process; to be
    /// followed by `hand_over`. False for the last one, who has to `stop`.
    bool leave_to_others() noexcept;

    /// Stops accepting, and refuses nobody: newcomers are left to whoever else accepts from the
    /// same socket. `accept` goes on to hand out who was accepted and then answers `errc::ending`.
    ///
    /// Takes who waits in the queue at that moment: a connection that this listener was woken for
    /// would make nobody else wake. Listeners of this process get those that it takes, where they
    /// accept. Errors: as `stop`.
    /// Cancellation: none; it does not wait for anything but the kernel.
    task<result<void>> hand_over();

    /// A connection that was accepted and not asked for yet; does not wait.
    std::optional<stream> next_accepted();

    /// Stops without serving the queue: the kernel resets who still waits there, when no other loop
    /// accepts from the socket. Connections that were accepted are still handed out.
    void close() noexcept;

    /// After `stop`, `hand_over` or `close`: waits until nothing of it is in flight on the socket,
    /// which then is closed, where newcomers are refused and no other loop accepts from it.
    ///
    /// An accept that was woken as it was cancelled may still bring a connection by then. That is
    /// another loop's, or is reset.
    /// Cancellation: none; it does not wait for anything but the kernel.
    task<void> join();

    [[nodiscard]] const address& local() const noexcept { return local_; }
    /// Connections that became its own so far, handed out or not.
    [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_; }

protected:
    listener(loop& loop, std::shared_ptr<listening_socket> from, std::size_t ahead, bool packets);

private:
    friend class acceptor;
    friend class accept_group;

    [[nodiscard]] bool unlimited_ahead() const noexcept { return ahead_ == unlimited; }
    [[nodiscard]] bool accepts() const noexcept { return phase_ == phase::accepting; }
    void completed(int result) noexcept;
    void wake() noexcept { changed_.set(); }
    void answer_call() noexcept;
    void take(int fd);
    void begin_to_stop();
    task<result<void>> empty_queue();
    task<result<void>> empty_queue_of_handshakes(handshake_patience patience);
    task<void> none_in_flight();
    task<bool> somebody_waits();

    loop& on_;
    std::shared_ptr<listening_socket> from_;
    address local_;
    accept_group::member self_;
    acceptor* accepting_ = nullptr; // gone when `over_` has happened
    event over_;
    std::vector<stream> waiting_;
    std::size_t handed_out_ = 0; // of `waiting_`
    std::size_t ahead_;
    const bool made_unlimited_;
    bool hands_over_ = false;
    bool limited_ = false; // `ahead_` holds for `stop` too
    event changed_;
    std::uint64_t accepted_ = 0;
    int paused_by_ = 0; // the negated errno; 0 while accepting runs
    refusal refused_ = refusal::none;
    std::error_code denied_by_;
    enum class phase : std::uint8_t { accepting, stopping, stopped } phase_ = phase::accepting;
};

} // namespace ringdown
