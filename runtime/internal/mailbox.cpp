#include <ringdown/runtime/internal/mailbox.hpp>

#include <cstdint>
#include <system_error>
#include <utility>

#include <poll.h>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

mailbox::mailbox(loop& loop)
    : ring_operation("mailbox"), on_(loop), event_(loop.calls().eventfd()) {
    if (event_ < 0) throw std::system_error(system_error(event_), "cannot make an eventfd");
}

mailbox::~mailbox() { on_.calls().close(event_); }

void mailbox::open() {
    closing_ = false;
    listen();
}

void mailbox::close() {
    // The poll may be ending by itself right now; then it must not be armed again.
    closing_ = true;
    request_cancel(on_);
}

void mailbox::listen() {
    submit(on_, [this](io_uring_sqe& sqe) { io_uring_prep_poll_multishot(&sqe, event_, POLLIN); });
}

void mailbox::post(std::move_only_function<void()> call) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(call));
        if (posted_.size() > 1) return; // whoever put the first one has rung
    }
    const std::uint64_t one = 1;
    on_.calls().write(event_, &one, sizeof one);
}

void mailbox::completed(completion what) noexcept {
    if (what.result == -ECANCELED) return;
    // A multishot poll may be ended by an overflowed queue.
    if (!in_flight() && !closing_) listen();
    std::uint64_t rings;
    on_.calls().read(event_, &rings, sizeof rings);
    run_posted();
}

// Calls only start things: whatever they resume goes through the loop's ready list.
void mailbox::run_posted() {
    // One of them may look for completions, and so come here.
    again_ = !running_.empty();
    if (again_) return;
    do {
        {
            const std::lock_guard lock(mutex_);
            running_.swap(posted_);
        }
        for (auto& call : running_)
            on_.call_back(call);
        running_.clear();
    } while (std::exchange(again_, false));
}

void mailbox::drop() noexcept {
    std::vector<std::move_only_function<void()>> dropped; // outside of the lock
    const std::lock_guard lock(mutex_);
    dropped.swap(posted_);
}

} // namespace ringdown
