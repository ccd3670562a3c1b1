#include <ringdown/net/listener.hpp>

#include <cerrno>

#include <sys/socket.h>

#include <ringdown/net/message_receive.hpp>
#include <ringdown/runtime/frame_pool.hpp>
#include <ringdown/runtime/ring_operation.hpp>
#include <ringdown/runtime/sleep.hpp>

namespace ringdown {
namespace {

// What says something about one connection that is gone already, not about accepting.
bool concerns_one_peer(int result) noexcept {
    return result == -ECONNABORTED || result == -EINTR || result == -EAGAIN || result == -EPROTO ||
           result == -ECONNRESET;
}

} // namespace

/// The accept in flight. Outlives its listener until its last completion.
class listener::accept_operation final : public pooled, public ring_operation, public resident {
public:
    accept_operation(loop& on, listener& owner, std::shared_ptr<listening_socket> from)
        : ring_operation("accept"), on_(on), owner_(&owner), from_(std::move(from)) {
        from_->join();
    }
    ~accept_operation() {
        if (joined_) from_->leave();
    }

    bool leave_to_others() noexcept {
        if (joined_) joined_ = !from_->leave_to_others();
        return !joined_;
    }

    void arm() {
        if (in_flight()) return;
        on_.admit(*this);
        submit(on_, [this](io_uring_sqe& sqe) {
            // The kernel wakes the accept that has waited longest. One that stays armed keeps its
            // place, and its loop would get every connection; a new one goes to the end.
            if (on_.has(capability::multishot_accept) && !from_->shared())
                io_uring_prep_multishot_accept(&sqe, from_->descriptor(), nullptr, nullptr,
                                               SOCK_CLOEXEC);
            else
                io_uring_prep_accept(&sqe, from_->descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
        });
    }
    void cancel() { request_cancel(on_); }
    void disown() {
        owner_ = nullptr;
        if (!in_flight()) {
            delete this;
            return;
        }
        request_cancel(on_);
        // The socket stays open until the accept has ended; nobody shall come by its path any more.
        if (from_.use_count() == 1) from_->give_up_path();
    }

private:
    void loop_ends() noexcept override { request_cancel(on_); }

    void completed(completion what) noexcept override {
        if (!in_flight()) list_hook<resident>::unlink();
        if (owner_) {
            owner_->completed(what.result);
            return;
        }
        if (what.result >= 0) on_.calls().close(what.result);
        if (!in_flight()) delete this;
    }

    loop& on_;
    listener* owner_;
    std::shared_ptr<listening_socket> from_;
    bool joined_ = true;
};

listener::listener(loop& on, std::shared_ptr<listening_socket> from)
    : listener(on, std::move(from), false) {}

listener::listener(loop& on, std::shared_ptr<listening_socket> from, bool packets)
    : on_(on), from_(std::move(from)), local_(from_->local()) {
    require((from_->kind() == connection_kind::unix_packets) == packets,
            "a `listener` takes a socket for streams, a `packet_listener` one for packets");
    accepting_ = new accept_operation(on, *this, from_);
    waiting_.reserve(256);
}

listener::~listener() {
    from_.reset(); // so that the accept sees whether it is the last to have it
    if (accepting_) accepting_->disown();
}

std::optional<stream> listener::next_accepted() {
    if (handed_out_ == waiting_.size()) return {};
    std::optional<stream> next(std::move(waiting_[handed_out_++]));
    if (handed_out_ == waiting_.size()) {
        waiting_.clear();
        handed_out_ = 0;
    }
    return next;
}

task<result<stream>> listener::accept() {
    for (;;) {
        if (auto next = next_accepted()) co_return std::move(*next);
        if (phase_ == phase::stopped) co_return std::unexpected(make_error_code(errc::ending));
        if (phase_ == phase::accepting) {
            if (const int error = std::exchange(paused_by_, 0))
                co_return std::unexpected(system_error(error));
            accepting_->arm();
        }
        changed_.reset();
        const auto waited = co_await changed_.wait(on_);
        if (!waited) co_return std::unexpected(waited.error());
    }
}

void listener::completed(int result) noexcept {
    // A unix socket that refuses newcomers says so when nobody waits any more.
    const bool empty = result == -EINVAL && phase_ == phase::stopping;
    if (result >= 0)
        take(result);
    else if (!empty && result != -ECANCELED && !concerns_one_peer(result))
        paused_by_ = result;
    changed_.set();
}

void listener::take(int fd) {
    ++accepted_;
    connection::origin from;
    from.kind = from_->kind();
    from.ipv6 = local_.family() == AF_INET6;
    if (from.kind != connection_kind::tcp) from.peer = address(AF_UNIX);
    if (from.kind == connection_kind::unix_packets) mark_messages(on_.calls(), fd);
    waiting_.emplace_back(stream(connection::adopt(on_, fd, from)));
}

task<result<void>> listener::stop(std::chrono::nanoseconds handshakes) {
    if (phase_ == phase::stopped) co_return result<void>{};
    phase_ = phase::stopping;
    from_->refuse_newcomers();
    auto emptied = co_await empty_queue();
    if (emptied && phase_ == phase::stopping && from_->kind() == connection_kind::tcp) {
        co_await sleep_for(on_, handshakes);
        emptied = co_await empty_queue();
    }
    if (emptied) close();
    co_return emptied;
}

bool listener::leave_to_others() noexcept { return accepting_ && accepting_->leave_to_others(); }

task<result<void>> listener::hand_over() {
    if (phase_ == phase::stopped) co_return result<void>{};
    phase_ = phase::stopping;
    auto emptied = co_await empty_queue();
    if (emptied) close();
    co_return emptied;
}

task<result<void>> listener::empty_queue() {
    // One that was armed before may have been woken for somebody, and is then cancelled without
    // having looked; nobody else would be woken for them.
    if (phase_ == phase::stopping && accepting_->in_flight()) co_await accept_and_cancel();
    // An accept that is cancelled in the breath of its submission takes who waits, and no longer.
    // So the queue is empty when one brings nobody.
    for (std::uint64_t before = accepted_ + 1; before != accepted_ && phase_ == phase::stopping;) {
        before = accepted_;
        paused_by_ = 0;
        co_await accept_and_cancel();
        if (paused_by_) co_return std::unexpected(system_error(paused_by_));
    }
    co_return result<void>{};
}

task<void> listener::accept_and_cancel() {
    if (phase_ == phase::stopping) accepting_->arm();
    while (phase_ == phase::stopping && accepting_->in_flight()) {
        accepting_->cancel();
        changed_.reset();
        // Not a wait that a cancelled scope may cut short: the accept may still bring a connection.
        co_await changed_.join(on_);
    }
}

void listener::close() noexcept {
    if (phase_ == phase::stopped) return;
    phase_ = phase::stopped;
    from_.reset();
    std::exchange(accepting_, nullptr)->disown();
    changed_.set();
}

} // namespace ringdown
