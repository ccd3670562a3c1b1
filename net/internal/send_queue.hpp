#pragma once

#include <system_error>

#include <ringdown/net/internal/connection_operation.hpp>

namespace ringdown {

class send_queue;

/// An operation that waits for its turn to send: bytes, or FIN.
///
/// Nothing waits that is in flight already, so one hook serves both lists.
class queued_operation : public connection_operation {
public:
    [[nodiscard]] at_ending when_ending() const noexcept override { return at_ending::keep; }

    /// Above a layer, which sends for it: all that it gave was sent, and the layer takes more; or
    /// the rest never will be.
    /// @{
    virtual void layer_sent() noexcept = 0;
    virtual void layer_failed(std::error_code why) noexcept = 0;
    /// @}

protected:
    using connection_operation::connection_operation;
    queued_operation(queued_operation&&) noexcept = default;
    ~queued_operation() = default;

private:
    friend class send_queue;

    /// Its turn has come. Calls `send_queue::done` when the next one's turn has.
    virtual void start() noexcept = 0;
    /// It will not have a turn: something before it was cut short, or the connection ends.
    virtual void refuse() noexcept = 0;
};

/// Sends of one connection, one on its way at a time, in the order they were handed over.
///
/// So bytes never interleave, and FIN can be put exactly behind the last of them.
class send_queue {
public:
    void push(queued_operation& last) noexcept {
        waiting_.push_back(last);
        start_next();
    }

    /// The first one is done, or the kernel has taken all of its bytes. Unless all of it was
    /// sent, what is behind it is refused: a stream must not go on after a hole.
    void done(bool whole) noexcept {
        under_way_ = nullptr;
        if (!whole) refuse_waiting();
        start_next();
    }

    /// Takes one out that waits, and refuses `fin` if it waits as well: what was to be sent before
    /// it is not complete any more.
    static void withdraw(queued_operation& waiting, queued_operation* fin) noexcept {
        waiting.unlink();
        if (!fin || !fin->linked() || fin->in_flight()) return;
        fin->unlink();
        fin->refuse();
    }

    void refuse_waiting() noexcept {
        while (!waiting_.empty())
            waiting_.pop_front().refuse();
    }

    [[nodiscard]] bool empty() const noexcept { return !under_way_ && waiting_.empty(); }
    [[nodiscard]] queued_operation* under_way() const noexcept { return under_way_; }

private:
    void start_next() noexcept {
        while (!under_way_ && !waiting_.empty()) {
            under_way_ = &waiting_.pop_front();
            under_way_->start();
        }
    }

    queued_operation* under_way_ = nullptr;
    intrusive_list<queued_operation, connection> waiting_;
};

} // namespace ringdown
