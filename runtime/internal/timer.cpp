#include <ringdown/runtime/internal/timer.hpp>

namespace ringdown {

void timer::set(time_point when) {
    unset();
    when_ = when;
    queue_->insert(*this);
}

void timer::set(timer_queue& queue, time_point when) {
    unset();
    queue_ = &queue;
    set(when);
}

void timer::unset() noexcept {
    if (is_set()) queue_->remove(*this);
}

std::optional<timer_queue::time_point> timer_queue::next() const noexcept {
    if (heap_.empty()) return {};
    return heap_.front()->when_;
}

void timer_queue::expire(time_point now, unsigned most) noexcept {
    for (; most > 0 && !heap_.empty() && heap_.front()->when_ <= now; --most) {
        timer& due = *heap_.front();
        remove(due);
        due.expired();
    }
}

void timer_queue::insert(timer& added) {
    heap_.push_back(&added);
    added.place_ = heap_.size() - 1;
    settle(added.place_);
}

void timer_queue::remove(timer& removed) noexcept {
    const std::size_t place = removed.place_;
    removed.place_ = timer::nowhere;
    timer* last = heap_.back();
    heap_.pop_back();
    if (last == &removed) return;
    put(last, place);
    settle(place);
}

// Moves the timer at `place` up while it is earlier than its parent, else down.
void timer_queue::settle(std::size_t place) noexcept {
    timer* moving = heap_[place];
    while (place > 0) {
        const std::size_t parent = (place - 1) / 2;
        if (heap_[parent]->when_ <= moving->when_) break;
        put(heap_[parent], place);
        place = parent;
    }
    for (;;) {
        std::size_t child = 2 * place + 1;
        if (child >= heap_.size()) break;
        if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
        if (heap_[child]->when_ >= moving->when_) break;
        put(heap_[child], place);
        place = child;
    }
    put(moving, place);
}

void timer_queue::put(timer* moved, std::size_t place) noexcept {
    heap_[place] = moved;
    moved->place_ = place;
}

} // namespace ringdown
