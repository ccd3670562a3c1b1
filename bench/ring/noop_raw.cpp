#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <liburing.h>

#include "noop.hpp"

namespace bench {

double raw_noop(std::size_t depth, std::size_t count) {
    io_uring ring;
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 2048;
    if (const int refused = io_uring_queue_init_params(256, &ring, &params)) {
        std::fprintf(stderr, "ring: io_uring: error %d\n", -refused);
        std::exit(2);
    }
    io_uring_register_ring_fd(&ring);
    std::size_t completed = 0;
    std::size_t submitted = 0;
    const auto begin = std::chrono::steady_clock::now();
    while (completed < count) {
        while (submitted < count && submitted - completed < depth) {
            io_uring_sqe* sqe = io_uring_get_sqe(&ring);
            io_uring_prep_nop(sqe);
            sqe->user_data = ++submitted;
        }
        io_uring_submit_and_wait(&ring, 1);
        io_uring_cqe* cqe;
        unsigned head;
        unsigned reaped = 0;
        io_uring_for_each_cqe(&ring, head, cqe)++ reaped;
        io_uring_cq_advance(&ring, reaped);
        completed += reaped;
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    io_uring_queue_exit(&ring);
    return took.count() / static_cast<double>(count);
}

} // namespace bench
