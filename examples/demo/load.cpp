#include "load.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/epoll.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t sealer_event = ~std::uint64_t{0};
// While attempts are due, the loop looks at the clock this often.
constexpr auto pace = 5ms;

void watch(int epoll, int fd, std::uint64_t data, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = data}};
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
}

} // namespace

load::load(const load_plan& plan, const sockaddr_in& server)
    : plan_(plan), server_(server), started_(clock::now()), dice_(plan.seed), sources_(plan.seed),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)), records_(plan.connections), slots_(plan.connections) {
    if (!epoll_.is_open()) {
        throw std::system_error(errno, std::system_category(), "epoll_create1");
    }
    watch(epoll_.get(), sealer_.event(), sealer_event, EPOLLIN);
}

void load::run_for(std::chrono::milliseconds limit) {
    open_due();
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), next_wait(limit));
    if (count < 0 && errno != EINTR) {
        throw std::system_error(errno, std::system_category(), "epoll_wait");
    }
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == sealer_event) {
            for (const auto index : sealer_.take_sealed()) {
                take_step(index, slots_[index].who->on_sealed());
            }
        } else if (const auto index = event.data.u64; slots_[index].who) {
            const bool connecting = slots_[index].who->connecting();
            const auto step = slots_[index].who->on_event(event.events);
            if (connecting && !slots_[index].who->connecting()) {
                --connecting_;
                counts_.established += records_[index].established ? 1 : 0;
            }
            take_step(index, step);
        }
    }
    run_timers();
    run_ready();
}

void load::open_due() {
    if (all_attempted()) {
        return;
    }
    const auto elapsed = std::min<clock::duration>(clock::now() - started_, plan_.opening);
    const auto share = std::chrono::duration<double>(elapsed) / plan_.opening;
    const auto due = static_cast<std::size_t>(share * static_cast<double>(plan_.connections));
    while (counts_.attempted < due && counts_.open < plan_.concurrency) {
        open_one();
    }
}

void load::open_one() {
    const auto index = counts_.attempted++;
    auto& seen = records_[index];
    seen.number = index;
    auto& who = slots_[index].who;
    const auto role = draw_script(dice_);
    // Somebody may listen on the same port of all addresses; then it is the next one's turn.
    constexpr int tries = 100;
    for (int i = 0; i < tries; ++i) {
        who = std::make_unique<peer>(role, seen);
        if (who->open(sources_.next(), server_)) {
            break;
        }
        if ((errno != EADDRINUSE && errno != EADDRNOTAVAIL) || i + 1 == tries) {
            throw std::system_error(errno, std::system_category(), "cannot open a connection");
        }
    }
    ++counts_.open;
    ++connecting_;
    watch(epoll_.get(), who->fd(), index, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

int load::next_wait(std::chrono::milliseconds limit) const {
    if (!ready_.empty()) {
        return 0;
    }
    auto wait = all_attempted() ? limit : std::min(limit, pace);
    if (!timers_.empty()) {
        const auto left = timers_.top().time - clock::now();
        wait = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(left), 0ms, wait);
    }
    return static_cast<int>(wait.count());
}

void load::run_timers() {
    const auto now = clock::now();
    while (!timers_.empty() && timers_.top().time <= now) {
        const auto due = timers_.top();
        timers_.pop();
        auto& [who, armed, ready] = slots_[due.index];
        if (who && armed == due.time) { // else it was armed anew, for an earlier time
            armed = clock::time_point::max();
            take_step(due.index, who->on_timer());
        }
    }
}

void load::run_ready() {
    for (const auto index : std::exchange(ready_, {})) {
        slots_[index].ready = false;
        if (slots_[index].who) {
            take_step(index, slots_[index].who->on_timer());
        }
    }
}

void load::take_step(std::size_t index, next_step step) {
    switch (step) {
    case next_step::wait:
        arm(index);
        break;
    case next_step::run_again:
        if (!std::exchange(slots_[index].ready, true)) {
            ready_.push_back(index);
        }
        break;
    case next_step::seal:
        sealer_.submit(index);
        break;
    case next_step::vanished:
        --counts_.open;
        ++counts_.vanished;
        break;
    case next_step::over:
        retire(index);
        break;
    }
}

void load::arm(std::size_t index) {
    auto& [who, armed, ready] = slots_[index];
    const auto time = who->wake_at();
    if (time < armed) {
        armed = time;
        timers_.push({.time = time, .index = index});
    }
}

void load::retire(std::size_t index) {
    slots_[index].who.reset();
    --counts_.open;
    ++counts_.over;
    counts_.refused += records_[index].established ? 0 : 1;
}

void load::cut_short() {
    for (std::size_t index = 0; index < counts_.attempted; ++index) {
        if (auto& who = slots_[index].who) {
            who->cut_short();
            who.reset();
            ++counts_.over;
            counts_.refused += records_[index].established ? 0 : 1;
        }
    }
    counts_.open = 0;
    counts_.vanished = 0;
    records_.resize(counts_.attempted);
}

} // namespace ringdown_demo
