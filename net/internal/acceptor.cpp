#include <ringdown/net/internal/acceptor.hpp>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include <ringdown/net/listener.hpp>

namespace ringdown {
namespace {

// More would only wait for a loop that is busy, while another could take who comes.
constexpr std::size_t singles_max = 16;

} // namespace

class acceptor::operation final : public pooled, public ring_operation {
public:
    operation(acceptor& owner, kind what) noexcept
        : ring_operation(what == kind::question ? "poll" : "accept"), owner_(owner), what_(what) {}

    void arm() {
        ++owner_.in_flight_;
        submit(owner_.loop_, [this](io_uring_sqe& sqe) {
            const int fd = owner_.from_->descriptor();
            if (what_ == kind::question)
                io_uring_prep_poll_add(&sqe, fd, POLLIN);
            else if (what_ == kind::multishot)
                io_uring_prep_multishot_accept(&sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
            else
                io_uring_prep_accept(&sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
        });
    }
    void cancel() { cancellation_.begin(); }
    /// One that looks at the queue because somebody may wait there whom nobody is woken for.
    void note_look() noexcept { looks_ = true; }
    [[nodiscard]] bool take_look() noexcept { return std::exchange(looks_, false); }
    [[nodiscard]] kind what() const noexcept { return what_; }

private:
    // The kernel does not find an accept that is woken in the breath of its submission. When
    // another process or loop has taken the connection by then, that accept waits on, and is to be
    // cancelled once more.
    class cancellation final : public ring_operation {
    public:
        explicit cancellation(operation& canceled) noexcept
            : ring_operation("cancel accept"), canceled_(canceled) {}

        void begin() {
            again_ = in_flight();
            if (in_flight() || !canceled_.in_flight()) return;
            ++owner().cancellations_;
            submit(owner().loop_, [this](io_uring_sqe& sqe) {
                io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uintptr_t>(&canceled_), 0);
            });
        }

    private:
        void completed(completion what) noexcept override {
            --owner().cancellations_;
            // Or the accept has been submitted again meanwhile.
            if ((what.result < 0 || again_) && canceled_.in_flight())
                begin();
            else
                owner().cancellation_ended();
        }
        [[nodiscard]] acceptor& owner() const noexcept { return canceled_.owner_; }

        operation& canceled_;
        bool again_ = false; // to be begun, when this one has completed
    };

    void completed(completion what) noexcept override { owner_.completed(*this, what.result); }

    acceptor& owner_;
    cancellation cancellation_{*this};
    kind what_;
    bool looks_ = false;
};

acceptor::acceptor(loop& accepting, listener& owner, std::shared_ptr<listening_socket> from,
                   accept_group::member self)
    : loop_(accepting), owner_(&owner), from_(std::move(from)), self_(std::move(self)),
      multishot_(std::make_unique<operation>(*this, kind::multishot)) {
    if (!from_->join())
        throw std::system_error(make_error_code(errc::ending),
                                "cannot accept from " + from_->local().text() +
                                    ": newcomers are refused, and the socket was closed");
    singles_.reserve(singles_max);
}

acceptor::~acceptor() { from_->leave(); }

accept_group& acceptor::group() const noexcept { return from_->accepting(); }

void acceptor::arm() {
    if (ending_) return;
    group().activate(*self_);
    if (!list_hook<resident>::linked()) loop_.admit(*this);
    if (unbounded()) {
        const bool look = std::exchange(look_, false);
        if (in_flight_ == 0)
            multishot_->arm(); // looks at the queue
        else if (look)
            multishot_->cancel();
        return;
    }
    note_fired();
    if (look_) look_once(); // first, since there may be room for one only
    if (wanted_ > in_flight_) submit(wanted_ - in_flight_);
}

// One more accept looks at the queue as it is armed. Where there is no room for one, another is
// cancelled, and this is tried again when that has completed.
void acceptor::look_once() {
    if (in_flight_ < singles_max && group().reserve(*self_, 1) == 1) {
        operation& looking = idle_operation();
        looking.note_look();
        looking.arm();
        look_ = false;
        return;
    }
    const auto armed =
        std::ranges::find_if(singles_, [](const auto& each) { return each->in_flight(); });
    if (armed != singles_.end()) (*armed)->cancel();
}

bool acceptor::unbounded() const noexcept {
    return owner_->unlimited_ahead() && loop_.has(capability::multishot_accept);
}

// As many as fired since the last time; twice as many when that was all of them, since others may
// have had to wait.
void acceptor::note_fired() noexcept {
    if (const std::size_t fired = std::exchange(fired_, 0); fired >= wanted_)
        wanted_ = std::min(2 * wanted_, singles_max);
    else if (fired > 0)
        wanted_ = fired;
}

void acceptor::submit(std::size_t count) {
    for (std::size_t got = group().reserve(*self_, count); got > 0; --got)
        idle_operation().arm();
}

bool acceptor::sweep() {
    if (!list_hook<resident>::linked()) loop_.admit(*this);
    if (unbounded())
        multishot_->arm();
    else
        submit(singles_max);
    cancel();
    return in_flight_ > 0;
}

// An accept that may not be made, or for which there is no descriptor, says nothing of the queue.
void acceptor::ask() {
    if (!list_hook<resident>::linked()) loop_.admit(*this);
    if (!question_) question_ = std::make_unique<operation>(*this, kind::question);
    question_->arm();
}

void acceptor::cancel() {
    if (question_) question_->cancel();
    multishot_->cancel();
    for (auto& each : singles_)
        each->cancel();
}

acceptor::operation& acceptor::idle_operation() {
    const auto idle =
        std::ranges::find_if(singles_, [](const auto& each) { return !each->in_flight(); });
    if (idle != singles_.end()) return **idle;
    return *singles_.emplace_back(std::make_unique<operation>(*this, kind::single));
}

void acceptor::completed(operation& which, int result) noexcept {
    if (!which.in_flight()) --in_flight_;
    if (which.what() == kind::question) return answered(result);
    const bool reserved = which.what() == kind::single;
    const bool looked = which.take_look();
    bool kept = false;
    if (result >= 0) {
        ++seen_;
        if (reserved) ++fired_;
        if (looked) look_ = true; // where one waited there may be more
        if (!owner_)
            kept = !group().bring_to_anybody(result);
        else
            kept =
                (!ending_ && group().alone() && owner_->accepts()) || group().keeps(*self_, result);
    }
    if (reserved && !kept) group().add_room(*self_, 1);
    if (owner_ && (kept || result < 0))
        owner_->completed(result);
    else if (owner_ && !which.in_flight())
        owner_->wake();
    else if (kept)
        reset(result);
    finish_if_idle();
}

// A poll that fails leaves it open.
void acceptor::answered(int result) noexcept {
    somebody_waits_ = result != -ECANCELED;
    if (owner_) owner_->wake();
    finish_if_idle();
}

// Nobody is left to serve it.
void acceptor::reset(int fd) noexcept {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    loop_.calls().setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    loop_.calls().close(fd);
}

void acceptor::cancellation_ended() noexcept {
    if (owner_) owner_->wake();
    finish_if_idle();
}

void acceptor::finish_if_idle() noexcept {
    if (!in_flight()) finish();
}

// The last one has completed.
void acceptor::finish() noexcept {
    if (ending_ || !owner_) group().let_others_look(*self_);
    if (owner_) {
        if (ending_ || !owner_->accepts()) list_hook<resident>::unlink();
        ending_ = false;
        return;
    }
    event* const over = over_;
    delete this;
    if (over) over->set();
}

void acceptor::disown(event& over) {
    owner_ = nullptr;
    over_ = &over;
    list_hook<resident>::unlink();
    if (!in_flight()) return finish();
    loop_.admit(*this);
    cancel();
    // The socket stays open until that has ended; nobody shall come by its path any more.
    if (from_.use_count() == 1) from_->give_up_path();
}

// The others are to bring nothing here any more.
void acceptor::loop_lost() noexcept {
    group().rest(*self_);
    group().pass_on(*self_);
}

void acceptor::loop_ends() noexcept {
    group().rest(*self_);
    group().pass_on(*self_);
    ending_ = true;
    cancel();
    finish_if_idle();
}

} // namespace ringdown
