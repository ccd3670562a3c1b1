#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ringdown/net/address.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/net/unix_path.hpp>
#include <ringdown/runtime/event.hpp>

namespace ringdown {

struct listen_options {
    int backlog = 4096;        ///< Connections that may wait to be accepted.
    bool no_delay = true;      ///< TCP_NODELAY, which accepted connections inherit.
    bool reuse_address = true; ///< SO_REUSEADDR: a restart may take a port with TIME_WAIT on it.
    bool reuse_port = false;   ///< SO_REUSEPORT. Closing one of several resets its share.
    bool packets = false;      ///< SOCK_SEQPACKET, at a unix address, for a `packet_listener`.
    unix_path_options path{};  ///< Of a unix address that is no abstract name: what becomes of it.
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
                              system& calls = kernel());
    /// Takes over a descriptor that listens already, handed over by another process.
    ///
    /// Errors: throws `std::system_error` when it does not listen, or is neither TCP nor a unix
    /// socket; the descriptor stays the caller's then.
    explicit listening_socket(int fd, system& calls = kernel());
    listening_socket(const listening_socket&) = delete;
    listening_socket& operator=(const listening_socket&) = delete;
    ~listening_socket();

    [[nodiscard]] int descriptor() const noexcept { return fd_; }
    /// Where it listens; a port of 0 has become the one that the kernel picked.
    [[nodiscard]] address local() const;
    [[nodiscard]] connection_kind kind() const noexcept { return kind_; }

    /// Refuses newcomers, while those that wait can still be accepted. Cannot be taken back.
    ///
    /// TCP: a filter drops segments that open a connection, so no late client is half-served.
    /// Unix: shutdown(2) of the receiving direction, and the path is given up.
    void refuse_newcomers() noexcept;
    /// Removes the path of a unix socket, if this socket made it and it is still its own; which
    /// the destructor does as well. See `unix_path_options`.
    void give_up_path() noexcept { path_.remove(); }

    /// Listeners come and go; with several, none must take every connection.
    /// @{
    void join() noexcept { listeners_.fetch_add(1, std::memory_order_relaxed); }
    void leave() noexcept { listeners_.fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] bool shared() const noexcept {
        return listeners_.load(std::memory_order_relaxed) > 1;
    }
    /// Leaves if others stay. Of listeners that leave at the same time, one is the last.
    bool leave_to_others() noexcept {
        int joined = listeners_.load(std::memory_order_relaxed);
        while (joined > 1)
            if (listeners_.compare_exchange_weak(joined, joined - 1, std::memory_order_relaxed))
                return true;
        return false;
    }
    /// @}

private:
    void close_on_failure(int refused, const std::string& what);

    system& calls_;
    int fd_;
    connection_kind kind_ = connection_kind::tcp;
    unix_path path_;
    std::atomic<int> listeners_{0};
};

/// Accepts connections on one loop.
///
/// Connections are taken as they come and kept until asked for. A listener that is destroyed
/// aborts those that nobody asked for; `stop` serves them.
class listener {
public:
    listener(loop& on, std::shared_ptr<listening_socket> from);
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

    /// Refuses newcomers and accepts everyone who waits in the kernel's queue; `accept` goes on
    /// to hand them out and then answers `errc::ending`. The socket is closed when no loop that
    /// shares it accepts any more.
    ///
    /// A handshake that had begun gets `handshakes` to complete, since no event tells of it; one
    /// that takes longer is reset by the kernel, as if the client had come too late.
    /// Errors: `too_many_files_open` and the like when some still wait; call again when there
    /// are descriptors.
    /// Cancellation: ends the time for handshakes; nobody who waits is lost.
    task<result<void>> stop(std::chrono::nanoseconds handshakes = std::chrono::milliseconds(10));

    /// Leaves accepting to others, if any accept from the same socket in this process; to be
    /// followed by `hand_over`. False for the last one, who has to `stop`.
    bool leave_to_others() noexcept;

    /// Stops accepting, and refuses nobody: newcomers are left to whoever else accepts from the
    /// same socket. `accept` goes on to hand out who was accepted and then answers `errc::ending`.
    ///
    /// Takes who waits in the queue at that moment: a connection that this listener was woken for
    /// would make nobody else wake. Errors: as `stop`.
    /// Cancellation: none; it does not wait for anything but the kernel.
    task<result<void>> hand_over();

    /// A connection that was accepted and not asked for yet; does not wait.
    std::optional<stream> next_accepted();

    /// Stops without serving the queue: the kernel resets who still waits there. Connections that
    /// were accepted are still handed out.
    void close() noexcept;

    [[nodiscard]] const address& local() const noexcept { return local_; }
    /// Connections accepted so far, handed out or not.
    [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_; }

protected:
    listener(loop& on, std::shared_ptr<listening_socket> from, bool packets);

private:
    class accept_operation;

    void completed(int result) noexcept;
    void take(int fd);
    task<result<void>> empty_queue();
    task<void> accept_and_cancel();

    loop& on_;
    std::shared_ptr<listening_socket> from_;
    address local_;
    accept_operation* accepting_ = nullptr;
    std::vector<stream> waiting_;
    std::size_t handed_out_ = 0; // of `waiting_`
    event changed_;
    std::uint64_t accepted_ = 0;
    int paused_by_ = 0; // the negated errno; 0 while accepting runs
    enum class phase : std::uint8_t { accepting, stopping, stopped } phase_ = phase::accepting;
};

} // namespace ringdown
