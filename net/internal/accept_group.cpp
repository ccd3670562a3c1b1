#include <ringdown/net/internal/accept_group.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {
namespace {

// How far a member may be ahead of another before it gives away what it accepts. With less, loops
// with single accepts, which are woken in turn, would give each other connections all the time;
// with more, most of a burst of eight could land on one of two.
constexpr std::uint64_t lead_max = 2;

} // namespace

void accept_group::join(const member& joining, std::ptrdiff_t room) {
    const std::lock_guard lock(mutex_);
    joining->room_ = room;
    members_.push_back(joining);
}

bool accept_group::leave_to_others(accept_member& leaving) {
    const std::lock_guard lock(mutex_);
    const auto stays = [&](const member& each) { return each.get() != &leaving && each->stays_; };
    if (leaving.stays_) leaving.stays_ = std::ranges::none_of(members_, stays);
    return !leaving.stays_;
}

std::vector<int> accept_group::leave(const member& leaving) {
    rest(*leaving);
    const std::lock_guard lock(mutex_);
    std::erase(members_, leaving);
    leaving->listener_ = nullptr;
    std::vector<int> left;
    for (const int fd : std::exchange(leaving->brought_, {}))
        if (!place_elsewhere(leaving.get(), fd)) left.push_back(fd);
    return left;
}

void accept_group::activate(accept_member& accepting) {
    const std::lock_guard lock(mutex_);
    if (accepting.active_ && !accepting.paused_) return;
    level(accepting);
    accepting.paused_ = false;
    if (!std::exchange(accepting.active_, true)) active_.fetch_add(1, std::memory_order_relaxed);
}

void accept_group::pause(accept_member& accepting) {
    const std::lock_guard lock(mutex_);
    accepting.paused_ = true;
}

void accept_group::rest(accept_member& resting) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(resting.active_, false)) active_.fetch_sub(1, std::memory_order_relaxed);
}

void accept_group::pass_on(accept_member& resting) {
    const std::lock_guard lock(mutex_);
    std::erase_if(resting.brought_, [&](int fd) {
        if (!place_elsewhere(&resting, fd)) return false;
        if (resting.room_ != accept_member::unlimited) ++resting.room_;
        return true;
    });
}

// One that reads an old number keeps a connection more than its share.
bool accept_group::alone() const noexcept { return active_.load(std::memory_order_relaxed) <= 1; }

std::size_t accept_group::reserve(accept_member& accepting, std::size_t wanted) {
    const std::lock_guard lock(mutex_);
    if (accepting.room_ == accept_member::unlimited) return wanted;
    const auto room = static_cast<std::size_t>(std::max<std::ptrdiff_t>(accepting.room_, 0));
    const std::size_t got = std::min(wanted, room);
    accepting.room_ -= static_cast<std::ptrdiff_t>(got);
    return got;
}

void accept_group::add_room(accept_member& accepting, std::ptrdiff_t more) {
    const std::lock_guard lock(mutex_);
    if (accepting.room_ == accept_member::unlimited) return;
    const bool had_none = accepting.room_ <= 0;
    accepting.room_ += more;
    if (had_none && accepting.room_ > 0) level(accepting);
}

void accept_group::lift_limit(accept_member& accepting) {
    const std::lock_guard lock(mutex_);
    accepting.room_ = accept_member::unlimited;
}

bool accept_group::has_room(accept_member& accepting) {
    const std::lock_guard lock(mutex_);
    return accepting.room_ > 0;
}

bool accept_group::keeps(accept_member& accepter, int fd) {
    const std::lock_guard lock(mutex_);
    const member* other = best_other(&accepter);
    if (!other || (accepter.active_ && accepter.placed_ < (*other)->placed_ + lead_max)) {
        ++accepter.placed_;
        return true;
    }
    bring(*other, fd);
    return false;
}

bool accept_group::bring_to_anybody(int fd) {
    const std::lock_guard lock(mutex_);
    if (place_elsewhere(nullptr, fd)) return true;
    // Beyond its limit it keeps it until there is room, which is better than a reset.
    const auto keeper =
        std::ranges::find_if(members_, [](const member& each) { return each->active_; });
    if (keeper == members_.end()) return false;
    bring(*keeper, fd);
    return true;
}

accept_group::errand accept_group::answer_call(accept_member& called) {
    const std::lock_guard lock(mutex_);
    called.called_ = false;
    return {std::exchange(called.brought_, {}), std::exchange(called.look_, false)};
}

void accept_group::let_others_look(const accept_member& leaving) {
    const std::lock_guard lock(mutex_);
    for (const member& each : members_) {
        if (each.get() == &leaving || !each->active_ || each->paused_) continue;
        each->look_ = true;
        call(each);
    }
}

const accept_group::member* accept_group::best_other(const accept_member* accepter) const noexcept {
    const member* best = nullptr;
    for (const member& each : members_) {
        const bool takes = each->active_ && !each->paused_ && each->room_ > 0;
        if (each.get() == accepter || !takes) continue;
        if (!best || each->placed_ < (*best)->placed_) best = &each;
    }
    return best;
}

bool accept_group::place_elsewhere(const accept_member* accepter, int fd) {
    const member* other = best_other(accepter);
    if (other) bring(*other, fd);
    return other != nullptr;
}

// One that comes back is not given all that it has missed.
void accept_group::level(accept_member& returning) noexcept {
    std::optional<std::uint64_t> least;
    for (const member& each : members_)
        if (each.get() != &returning && each->active_)
            least = std::min(least.value_or(each->placed_), each->placed_);
    returning.placed_ = std::max(returning.placed_, least.value_or(0));
}

void accept_group::bring(const member& to, int fd) {
    ++to->placed_;
    if (to->room_ != accept_member::unlimited) --to->room_;
    to->brought_.push_back(fd);
    call(to);
}

// One call is enough for all that is brought before it is answered. The loop is there: its listener
// leaves, under the lock, before it goes.
void accept_group::call(const member& called) {
    if (std::exchange(called->called_, true)) return;
    called->loop_.post([called] {
        if (called->listener_) called->listener_->answer_call();
    });
}

} // namespace ringdown
