#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ringdown/net/internal/accept_group.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/internal/ring_operation.hpp>
#include <ringdown/runtime/loop.hpp>

// Internal to listener.cpp and acceptor.cpp.

namespace ringdown {

class listening_socket;

/// What a listener has in flight on its socket, which stays open until the last of that has
/// completed, and so may outlive the listener.
///
/// One that accepts without a limit has a multishot accept, which takes everybody who waits. Of
/// several loops' the kernel wakes the one that has waited longest, for every connection; the group
/// shares what that one takes. One with a limit has single accepts, as many as came at once lately,
/// and never more than may become its own.
class acceptor final : public resident {
public:
    acceptor(loop& accepting, listener& owner, std::shared_ptr<listening_socket> from,
             accept_group::member self);

    /// Accepts from now on, as fast as connections come lately.
    void arm();
    /// Takes who waits in the kernel's queue; each accept is cancelled as it is submitted. False
    /// when there is no room for anybody.
    [[nodiscard]] bool sweep();
    /// Asks whether somebody waits in the queue, and accepts nobody; to be cancelled in the same
    /// breath. Answered when nothing is in flight.
    void ask();
    [[nodiscard]] bool somebody_waits() const noexcept { return somebody_waits_; }
    void cancel();
    /// An accept is, or the question, or the cancellation of one.
    [[nodiscard]] bool in_flight() const noexcept { return in_flight_ + cancellations_ > 0; }
    /// Connections that were accepted, whoever got them.
    [[nodiscard]] std::uint64_t seen() const noexcept { return seen_; }
    /// The next `arm` looks at the queue, whatever is armed.
    void look() noexcept { look_ = true; }
    /// The listener has gone; what is still accepted is for others. `over` is set once this has
    /// gone too, and has left the socket, unless that is forgotten.
    /// @{
    void disown(event& over);
    void forget_over() noexcept { over_ = nullptr; }
    /// @}

private:
    class operation;
    enum class kind : std::uint8_t { multishot, single, question };

    ~acceptor();
    operation& idle_operation();
    [[nodiscard]] bool unbounded() const noexcept;
    void submit(std::size_t count);
    void look_once();
    void note_fired() noexcept;
    void completed(operation& which, int result) noexcept;
    void answered(int result) noexcept;
    void cancellation_ended() noexcept;
    void finish_if_idle() noexcept;
    void finish() noexcept;
    void reset(int fd) noexcept;
    void loop_ends() noexcept override;
    void loop_lost() noexcept override;
    [[nodiscard]] accept_group& group() const noexcept;

    loop& loop_;
    listener* owner_;
    event* over_ = nullptr;
    std::shared_ptr<listening_socket> from_;
    accept_group::member self_;
    std::unique_ptr<operation> multishot_;
    std::vector<std::unique_ptr<operation>> singles_;
    std::unique_ptr<operation> question_; // few ask
    std::size_t in_flight_ = 0;           // accepts, and the question
    std::size_t cancellations_ = 0;       // in flight
    std::size_t wanted_ = 1;              // single accepts
    std::size_t fired_ = 0;               // of those, since they were counted
    std::uint64_t seen_ = 0;
    bool somebody_waits_ = false;
    bool look_ = false;
    bool ending_ = false; // its loop ends its run: nothing is armed before all has completed
};

} // namespace ringdown
