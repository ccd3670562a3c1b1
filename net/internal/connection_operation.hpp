#pragma once

#include <utility>

#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/internal/ring_operation.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

class connection;

/// What the ending of a connection does with an operation that it finds in flight.
enum class at_ending : unsigned char {
    cancel, ///< Ends it early: what the application waits for.
    keep,   ///< Lets it go on: what flushes or discards.
};

/// A ring operation on a connection, which knows every one that is in flight on it.
class connection_operation : public ring_operation, public list_hook<connection> {
public:
    [[nodiscard]] virtual at_ending when_ending() const noexcept { return at_ending::cancel; }

    /// True for what a reset of the connection ends by itself; an abort cancels only the rest.
    [[nodiscard]] virtual bool ends_with_reset() const noexcept { return false; }

    /// True for what the kernel may hold on to, cancelled or not, until the peer has acknowledged
    /// it or the connection is gone.
    [[nodiscard]] virtual bool pins_buffer() const noexcept { return false; }

    /// True once the kernel has answered and holds on to the buffer alone: the descriptor may be
    /// closed, and where that close resets, it frees the buffer.
    [[nodiscard]] virtual bool only_pins() const noexcept { return false; }

    void request_cancel() { ring_operation::request_cancel(ring_loop()); }

protected:
    explicit connection_operation(connection& connection, const char* name) noexcept
        : ring_operation(name), connection_(connection) {}
    connection_operation(connection_operation&& other) noexcept
        : ring_operation(std::move(other)), list_hook<connection>(),
          connection_(other.connection_) {}
    ~connection_operation() = default;

    template <class Prepare>
    void launch(Prepare prepare) {
        track();
        submit(ring_loop(), prepare);
    }

    template <class Prepare>
    void launch_silently(Prepare prepare) {
        track();
        submit_silently(ring_loop(), prepare);
    }

    /// A completion has arrived; `in_flight` is false if it was the last.
    virtual void settled(completion what) noexcept = 0;

    [[nodiscard]] connection& target() const noexcept { return connection_; }
    [[nodiscard]] loop& ring_loop() const noexcept; // in connection.hpp

private:
    void track() noexcept; // in connection.hpp
    void completed(completion what) noexcept final;

    connection& connection_;
};

} // namespace ringdown
