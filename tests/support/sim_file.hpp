#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <liburing.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/uio.h>

#include "sim_world.hpp"

namespace ringdown::sim {

class file;

/// A submitted operation until its last completion.
struct operation {
    enum class phase {
        waiting,      // to be tried again when its file wakes it
        worker,       // a kernel worker has it: cannot be stopped any more
        notification, // a zero-copy send whose result is out and whose buffer is still in use
    };

    [[nodiscard]] bool is_send() const;
    [[nodiscard]] bool is_zero_copy() const;
    [[nodiscard]] bool is_multishot() const;
    [[nodiscard]] bool is_whole() const; // MSG_WAITALL
    [[nodiscard]] std::size_t wanted_bytes() const;
    [[nodiscard]] unsigned wanted_events() const;

    std::uint64_t id = 0;
    io_uring_sqe sqe{};
    std::vector<iovec> parts; // what a SENDMSG named, copied as the kernel does at submission
    file* on = nullptr;
    phase stage = phase::waiting;
    std::size_t done = 0;
    bool woken = false;
    unsigned wakes = 0;    // since it was last tried
    unsigned wake_key = 0; // what the only one of them said; 0: look for yourself
    bool canceled = false;
    bool cancel_lost = false; // the cancel said -EALREADY: what is there is still delivered
    time_point held_until{};  // sim_options::late_cancel
    std::uint64_t stream_end = 0;
    time_point due_at{};             // of a timeout
    std::unique_ptr<operation> next; // the rest of its chain
};

/// What a descriptor names. Lives until its descriptor is closed and no operation holds it.
class file {
public:
    virtual ~file() = default;
    [[nodiscard]] virtual unsigned poll_mask() { return 0; }
    virtual int read(void*, std::size_t) { return -EINVAL; }
    virtual int write(const void*, std::size_t) { return -EINVAL; }
    virtual void released() {}

    void hold(operation& by) { ++held_by_, watchers_.push_back(&by); }
    /// The operation lets go of the file, and still watches it if it waits for a notification.
    void let_go(operation& by, bool keeps_watching) {
        if (!keeps_watching) forget(by);
        --held_by_;
        release_if_unused();
    }
    void forget(operation& by) { std::erase(watchers_, &by); }

    /// Wakes the operations that wait for what `key` says; 0 wakes all.
    void wake(unsigned key) {
        for (operation* each : watchers_) {
            if (each->stage == operation::phase::worker) continue;
            each->woken = true;
            each->wake_key = ++each->wakes > 1 ? 0 : key;
        }
    }

    void closed() { open_ = false, release_if_unused(); }
    [[nodiscard]] bool open() const { return open_; }
    [[nodiscard]] const std::vector<operation*>& watchers() const { return watchers_; }

    std::size_t unposted = 0; // last completions that are still on their way

private:
    void release_if_unused() {
        if (!open_ && held_by_ == 0) released();
    }
    bool open_ = true;
    std::size_t held_by_ = 0;
    std::vector<operation*> watchers_;
};

/// An eventfd, or a signalfd that a test raises signals on.
class event_file final : public file {
public:
    explicit event_file(std::uint64_t signals = 0) : signals_(signals) {}
    unsigned poll_mask() override { return POLLOUT | (count_ ? POLLIN | POLLRDNORM : 0U); }
    int read(void* to, std::size_t bytes) override {
        if (!count_) return -EAGAIN;
        signalfd_siginfo what{};
        what.ssi_signo = static_cast<unsigned>(count_);
        const std::size_t size = signals_ ? sizeof what : sizeof count_;
        if (bytes < size) return -EINVAL;
        std::memcpy(to, signals_ ? static_cast<void*>(&what) : &count_, size);
        count_ = 0;
        return static_cast<int>(size);
    }
    int write(const void* from, std::size_t bytes) override {
        if (signals_ || bytes < sizeof count_) return -EINVAL;
        std::uint64_t more;
        std::memcpy(&more, from, sizeof more);
        count_ += more;
        wake(POLLIN | POLLRDNORM);
        return sizeof more;
    }
    void raise(unsigned signal) {
        if (!(signals_ >> (signal - 1) & 1)) return;
        count_ = signal;
        wake(POLLIN | POLLRDNORM);
    }

private:
    std::uint64_t count_ = 0;
    std::uint64_t signals_;
};

} // namespace ringdown::sim
