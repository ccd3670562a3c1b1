#include <ringdown/net/listener.hpp>

#include <algorithm>
#include <cerrno>

#include <ringdown/net/internal/acceptor.hpp>
#include <ringdown/net/internal/handshakes.hpp>
#include <ringdown/net/internal/message_receive.hpp>
#include <ringdown/runtime/sleep.hpp>

namespace ringdown {
namespace {

// What says something about one connection that is gone already, not about accepting. accept(2)
// hands the network's errors of a new connection to its accepter.
bool concerns_one_peer(int result) noexcept {
    switch (-result) {
    case ECONNABORTED:
    case EINTR:
    case EAGAIN:
    case EPROTO:
    case ECONNRESET:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

// The first look at the handshakes: by then whatever SYN was in the kernel's hands as newcomers
// were refused is among them.
constexpr auto first_look = std::chrono::milliseconds(1);
constexpr auto looks_at_most_apart = std::chrono::milliseconds(50);
// Looks take a tenth of the loop's time at most.
constexpr int share_of_looks = 10;

} // namespace

listener::listener(loop& loop, std::shared_ptr<listening_socket> from, std::size_t ahead)
    : listener(loop, std::move(from), ahead, false) {}

listener::listener(loop& loop, std::shared_ptr<listening_socket> from, std::size_t ahead,
                   bool packets)
    : on_(loop), from_(std::move(from)), local_(from_->local()),
      self_(std::make_shared<accept_member>(loop, *this)), ahead_(std::min(ahead, unlimited)),
      made_unlimited_(ahead_ == unlimited) {
    require(ahead > 0, "a listener that may accept 0 connections ahead accepts nobody; give 1");
    require(from_->traits().keeps_messages == packets,
            "a `listener` takes a socket for streams, a `packet_listener` one for packets");
    waiting_.reserve(256);
    accepting_ = new acceptor(loop, *this, from_, self_);
    from_->accepting().join(self_, static_cast<std::ptrdiff_t>(ahead_));
}

listener::~listener() {
    close();
    if (!over_.happened()) accepting_->forget_over();
}

std::optional<stream> listener::next_accepted() {
    if (handed_out_ == waiting_.size()) return {};
    std::optional<stream> next(std::move(waiting_[handed_out_++]));
    if (from_ && !unlimited_ahead()) from_->accepting().add_room(*self_, 1);
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
        const auto waited = co_await changed_.wait();
        if (!waited) co_return std::unexpected(waited.error());
    }
}

void listener::limit(std::size_t ahead) {
    require(ahead < unlimited && !made_unlimited_,
            "a listener that accepts without a limit was given one, or the reverse; choose as it "
            "is made");
    if (phase_ != phase::accepting && !limited_) return; // a stop has lifted it
    const auto more = static_cast<std::ptrdiff_t>(ahead) - static_cast<std::ptrdiff_t>(ahead_);
    ahead_ = ahead;
    limited_ = true;
    if (!from_ || more == 0) return;
    from_->accepting().add_room(*self_, more);
    if (more > 0 && !accepting_->in_flight()) changed_.set();
}

void listener::completed(int result) noexcept {
    // A unix socket that refuses newcomers says so when nobody waits any more.
    const bool empty = result == -EINVAL && phase_ == phase::stopping;
    if (result >= 0) {
        take(result);
    } else if (!empty && result != -ECANCELED && !concerns_one_peer(result)) {
        paused_by_ = result;
        from_->accepting().pause(*self_);
    }
    changed_.set();
}

// Others have accepted something for it, or wait for it to look.
void listener::answer_call() noexcept {
    const auto errand = from_->accepting().answer_call(*self_);
    for (const int fd : errand.brought)
        take(fd);
    if (errand.look) accepting_->look();
    changed_.set();
}

void listener::take(int fd) {
    ++accepted_;
    from_->accepted(fd);
    connection::origin from;
    from.traits = from_->traits();
    from.ipv6 = local_.family() == AF_INET6;
    if (!from.traits.has_names) from.peer = address(AF_UNIX);
    if (from.traits.keeps_messages) mark_messages(on_.calls(), fd);
    waiting_.emplace_back(stream(connection::adopt(on_, fd, from)));
}

refusal listener::refuse() noexcept {
    if (!from_) return refused_;
    const auto refused = from_->refuse_newcomers();
    denied_by_ = refused ? std::error_code() : refused.error();
    return refused_ = refused.value_or(refusal::denied);
}

void listener::begin_to_stop() {
    phase_ = phase::stopping;
    accept_group& group = from_->accepting();
    group.rest(*self_);
    // What was brought already is its own.
    const auto errand = group.answer_call(*self_);
    for (const int fd : errand.brought)
        take(fd);
    // A few ahead of their turn is no measure for those that would be reset otherwise.
    if (limited_ || unlimited_ahead()) return;
    ahead_ = unlimited;
    group.lift_limit(*self_);
}

task<result<refusal>> listener::stop(handshake_patience patience) {
    if (phase_ == phase::stopped) co_return refused_;
    begin_to_stop();
    const bool denied = refuse() == refusal::denied;
    auto emptied = co_await empty_queue();
    if (emptied && !denied && from_ && from_->traits().has_handshake)
        emptied = co_await empty_queue_of_handshakes(patience);
    if (!emptied) co_return std::unexpected(emptied.error());
    close();
    co_return refused_;
}

// One that completes waits in the queue meanwhile, so the queue is emptied after each look, and has
// nobody left when the look found nobody.
task<result<void>> listener::empty_queue_of_handshakes(handshake_patience patience) {
    handshakes begun(on_.calls(), from_->descriptor(), local_);
    const auto until = later(on_.now(), patience.within);
    const auto until_uncounted = std::min(until, later(on_.now(), patience.uncounted));
    auto next = std::min<loop::time_point>(until, on_.now() + first_look);
    for (bool over = false; !over && phase_ == phase::stopping;) {
        const auto before = on_.now();
        const auto slept = co_await sleep_for(next - before);
        const auto looked = on_.calls().now();
        const auto left = begun.under_way();
        const auto now = on_.calls().now();
        const auto end = left ? until : until_uncounted;
        over = !slept || left == 0U || now >= end;
        const auto apart =
            std::min<loop::time_point::duration>(2 * (now - before), looks_at_most_apart);
        next = std::min(end, now + std::max(apart, share_of_looks * (now - looked)));
        const auto emptied = co_await empty_queue();
        if (!emptied) co_return emptied;
    }
    co_return result<void>{};
}

bool listener::leave_to_others() noexcept {
    return from_ && from_->accepting().leave_to_others(*self_);
}

task<result<void>> listener::hand_over() {
    if (phase_ == phase::stopped) co_return result<void>{};
    begin_to_stop();
    hands_over_ = true;
    auto emptied = co_await empty_queue();
    if (emptied) close();
    co_return emptied;
}

task<bool> listener::somebody_waits() {
    accepting_->ask();
    co_await none_in_flight();
    co_return phase_ == phase::stopping && accepting_->somebody_waits();
}

task<result<void>> listener::empty_queue() {
    // What was armed before may have been woken for somebody, and is then cancelled without having
    // looked; nobody else would be woken for them.
    co_await none_in_flight();
    // An accept that is cancelled in the breath of its submission takes who waits, and no longer.
    // So the queue is empty when such accepts bring nobody.
    for (bool brought = true; brought && phase_ == phase::stopping;) {
        const std::uint64_t before = accepting_->seen();
        paused_by_ = 0;
        std::error_code refused;
        if (!accepting_->sweep()) refused = make_error_code(errc::connection_limit);
        co_await none_in_flight();
        if (paused_by_) refused = system_error(std::exchange(paused_by_, 0));
        if (refused) {
            if (phase_ != phase::stopping) break;
            // The others look when this one has left.
            const bool left = hands_over_ && refused == errc::connection_limit;
            const bool waits = co_await somebody_waits();
            if (waits && !left) co_return std::unexpected(refused);
            break;
        }
        brought = phase_ == phase::stopping && accepting_->seen() != before;
    }
    co_return result<void>{};
}

task<void> listener::none_in_flight() {
    while (phase_ == phase::stopping && accepting_->in_flight()) {
        accepting_->cancel();
        changed_.reset();
        // Not a wait that a cancelled scope may cut short: the accept may still bring a connection.
        co_await changed_.join();
    }
}

void listener::close() noexcept {
    if (phase_ == phase::stopped) return;
    phase_ = phase::stopped;
    for (const int fd : from_->accepting().leave(self_))
        take(fd);
    // So that what accepts sees whether it is the last to have it.
    from_.reset();
    accepting_->disown(over_);
    changed_.set();
}

task<void> listener::join() { co_await over_.join(); }

} // namespace ringdown
