#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <liburing.h>

#include "cases.hpp"

namespace bench {
namespace {

class raw_ring {
public:
    raw_ring() {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
        params.cq_entries = 2048;
        const int refused = io_uring_queue_init_params(512, &ring_, &params);
        errno = -refused;
        must(refused == 0, "io_uring");
        io_uring_register_ring_fd(&ring_);
    }
    raw_ring(const raw_ring&) = delete;
    raw_ring& operator=(const raw_ring&) = delete;
    ~raw_ring() { io_uring_queue_exit(&ring_); }

    io_uring& get() { return ring_; }

    /// Submits `depth` at a time, by `prepare(ring)`, until `count` have completed; each posts
    /// `completions`.
    template <class Prepare>
    void repeat(section& counts, std::size_t depth, std::size_t count, unsigned completions,
                Prepare prepare) {
        std::size_t submitted = 0;
        std::size_t posted = 0;
        counts.begin();
        while (posted < count * completions) {
            while (submitted < count && submitted - posted / completions < depth) {
                prepare(ring_);
                ++submitted;
            }
            io_uring_submit_and_wait(&ring_, 1);
            io_uring_cqe* cqe;
            unsigned head;
            unsigned reaped = 0;
            io_uring_for_each_cqe(&ring_, head, cqe)++ reaped;
            io_uring_cq_advance(&ring_, reaped);
            posted += reaped;
        }
        counts.end();
    }

private:
    io_uring ring_{};
};

struct stage {
    void (*run)(stage&, std::vector<stage*>&);
    stage* next;
    std::uint64_t value;
};

void hand_on(stage& source, std::vector<stage*>& ready) {
    source.next->value = source.value + 1;
    ready.push_back(source.next);
}

struct spawned {
    void (*run)(spawned&);
    std::uint64_t& sum;
};

void add_and_end(spawned& self) {
    ++self.sum;
    delete &self;
}

} // namespace

void must(bool held, const char* what) {
    if (held) return;
    std::fprintf(stderr, "ring: failed: %s\n", what);
    std::exit(1);
}

void noop_by_hand(section& counts, std::size_t depth, std::size_t count) {
    raw_ring ring;
    ring.repeat(counts, depth, count, 1,
                [](io_uring& raw) { io_uring_prep_nop(io_uring_get_sqe(&raw)); });
}

void timer_by_hand(section& counts, std::size_t depth, std::size_t count) {
    raw_ring ring;
    ring.repeat(counts, depth, count, 1, [](io_uring& raw) {
        static __kernel_timespec now{0, 0};
        io_uring_prep_timeout(io_uring_get_sqe(&raw), &now, 0, 0);
    });
}

void deadline_by_hand(section& counts, std::size_t depth, std::size_t count) {
    raw_ring ring;
    ring.repeat(counts, depth, count, 2, [](io_uring& raw) {
        static __kernel_timespec later{10, 0};
        io_uring_sqe* noop = io_uring_get_sqe(&raw);
        io_uring_prep_nop(noop);
        noop->flags |= IOSQE_IO_LINK;
        io_uring_prep_link_timeout(io_uring_get_sqe(&raw), &later, 0);
    });
}

// The queue of a loop that also looks at its ring in every turn.
void channel_by_hand(section& counts, std::size_t depth, std::size_t count) {
    raw_ring ring;
    std::vector<stage> stages(depth * channel_stages);
    std::vector<stage*> ready;
    std::vector<stage*> running;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const bool last = (i + 1) % channel_stages == 0;
        stages[i] = {hand_on, &stages[last ? i + 1 - channel_stages : i + 1], 0};
    }
    for (std::size_t i = 0; i < stages.size(); i += channel_stages)
        ready.push_back(&stages[i]);
    const std::size_t turns = count / depth;
    counts.begin();
    for (std::size_t i = 0; i < turns; ++i) {
        io_uring_submit_and_get_events(&ring.get());
        running.swap(ready);
        for (stage* each : running)
            each->run(*each, ready);
        running.clear();
    }
    counts.end();
    for (const stage* each : ready)
        must(each->value == turns, "a value was lost on its way");
}

void spawn_by_hand(section& counts, std::size_t, std::size_t count) {
    std::uint64_t sum = 0;
    void (*volatile what)(spawned&) = add_and_end; // which the compiler must not see through
    counts.begin();
    for (std::size_t i = 0; i < count; ++i) {
        auto made = std::make_unique<spawned>(what, sum);
        spawned& started = *made.release(); // frees itself
        started.run(started);
    }
    counts.end();
    must(sum == count, "not everything that was spawned ran");
}

} // namespace bench
