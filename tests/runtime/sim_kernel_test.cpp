#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ringdown/runtime/internal/uapi.hpp>

#include "../support/sim_setting.hpp"

using namespace ringdown;
using namespace ringdown::sim_tests;

TEST_CASE("sim_kernel: tiny queues lose no operation, whatever is refused or overflows") {
    std::uint64_t overflows = 0, full = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        sim_options options{.seed = seed, .submission_entries_max = 4, .completion_entries_max = 4};
        if (seed % 3 == 0) options.missing.add(capability::defer_taskrun);
        if (seed % 5 == 0) options.missing.add(capability::no_sqarray);
        if (seed % 7 == 0) options.missing.add(capability::registered_ring);
        setting with(options);
        with.kernel.disturb();
        std::map<std::uint64_t, int> ends;
        for (std::uint64_t name = 1; name <= 300; ++name) {
            with.add(name, [](auto* sqe) { io_uring_prep_nop(sqe); });
            if (name % 50 == 0) with.queue.enter(false);
            if (name % 70 == 0) with.queue.reap([&](auto which, completion) { ++ends[which]; });
        }
        while (ends.size() < 300) {
            with.queue.enter(true);
            with.queue.reap([&](auto which, completion) { ++ends[which]; });
        }
        for (auto& [name, times] : ends)
            CHECK(times == 1);
        CHECK(with.kernel.operations_in_flight() == 0);
        CHECK(with.kernel.violations().empty());
        overflows += with.queue.statistics().overflows;
        full += with.queue.statistics().queue_full;
    }
    CHECK(overflows > 0);
    CHECK(full > 0);
}

TEST_CASE("sim_kernel: what a kernel lacks is what probing does not find") {
    for (const capability each : all_capabilities()) {
        sim_options options;
        options.missing.add(each);
        sim_kernel kernel(options);
        const capability_set found = probe_capabilities(kernel);
        CAPTURE(name(each));
        CHECK_FALSE(found.has(each));
        CHECK(found.has(capability::coop_taskrun) == (each != capability::coop_taskrun));
        CHECK(kernel.open_descriptors() == 0);
    }
    sim_kernel kernel;
    CHECK_FALSE(probe_shutdown_in_place(kernel));
}

TEST_CASE("sim_kernel: an operation in flight holds back the FIN of a closed descriptor (fact 3)") {
    setting with;
    const int fd = with.kernel.adopt_peer(peer_script());
    with.receive(1, fd);
    CHECK(with.pass().empty());
    CHECK(with.kernel.close(fd) == 0);
    CHECK(with.kernel.adopt_peer(peer_script()) == fd); // the number is free at once
    CHECK(with.pass().empty());
    CHECK_FALSE(with.kernel.truth(0).fin_sent);
    CHECK(with.kernel.truth(0).closed_in_use);
    CHECK(with.kernel.violations().size() == 1);
    with.cancel(2, 1);
    CHECK(with.pass() == std::vector<seen>{{2, 0, 0}, {1, -ECANCELED, 0}});
    CHECK(with.kernel.truth(0).fin_acknowledged);
}

TEST_CASE("sim_kernel: SIOCOUTQ and POLLOUT tell when everything was acknowledged (fact 7)") {
    setting with;
    peer_script peer;
    peer.ack_delay = 2ms;
    const int fd = with.kernel.adopt_peer(peer.pause(50ms).reset());
    with.add(1, [&](auto* sqe) { io_uring_prep_send(sqe, fd, "answer", 6, MSG_MORE); });
    CHECK(with.pass(1ms) == std::vector<seen>{{1, 6, 0}});
    CHECK(with.kernel.shutdown(fd, SHUT_WR) == 0);
    CHECK(with.unacknowledged(fd) == 7);
    with.add(2, [&](auto* sqe) { io_uring_prep_poll_multishot(sqe, fd, POLLOUT); });
    CHECK(with.pass(1ms) == std::vector<seen>{{2, POLLOUT, more}});
    CHECK(with.kernel.state(0) == 4);
    CHECK(with.pass(5ms) == std::vector<seen>{{2, POLLOUT, more}});
    CHECK(with.unacknowledged(fd) == 0);
    CHECK(with.info(fd).tcpi_state == 5);
    CHECK(with.info(fd).tcpi_bytes_acked == 7);
    CHECK(with.kernel.truth(0).fin_with_data);
    CHECK(with.kernel.arrived(0) == "answer");
    CHECK(with.pass(50ms) == std::vector<seen>{{2, POLLOUT | POLLERR | POLLHUP | POLLRDHUP, more}});
    CHECK(with.info(fd).tcpi_bytes_acked == 7);
    with.abort(fd);
    CHECK(with.info(fd).tcpi_bytes_acked == 0);
    CHECK(with.unacknowledged(fd) > 0);
}

TEST_CASE("sim_kernel: the error of a reset is readable once (fact 9)") {
    setting with;
    SUBCASE("by SO_ERROR, with the data before it") {
        const int fd = with.kernel.adopt_peer(peer_script().write("data").reset());
        with.pass();
        CHECK(with.option(fd, SO_ERROR) == ECONNRESET);
        CHECK(with.option(fd, SO_ERROR) == 0);
        CHECK(with.kernel.recv(fd, with.buffer, 100, MSG_DONTWAIT) == 4);
        CHECK(with.kernel.recv(fd, with.buffer, 100, MSG_DONTWAIT) == 0);
    }
    SUBCASE("by recv") {
        const int fd = with.kernel.adopt_peer(peer_script().write("data").reset());
        with.pass();
        with.receive(1, fd);
        with.receive(2, fd);
        with.receive(3, fd);
        CHECK(with.pass() == std::vector<seen>{{1, 4, 0}, {2, -ECONNRESET, 0}, {3, 0, 0}});
    }
    SUBCASE("swallowed by a partial result") {
        const int fd = with.kernel.adopt_peer(peer_script().write("data").pause(1ms).reset());
        with.receive(1, fd, MSG_WAITALL);
        CHECK(with.pass() == std::vector<seen>{{1, 4, 0}});
        CHECK(with.option(fd, SO_ERROR) == 0);
    }
    SUBCASE("EPIPE when the peer had finished") {
        const int fd = with.kernel.adopt_peer(peer_script().close());
        with.pass();
        with.add(1, [&](auto* sqe) { io_uring_prep_send(sqe, fd, "late", 4, 0); });
        CHECK(with.pass() == std::vector<seen>{{1, 4, 0}});
        CHECK(with.kernel.recv(fd, with.buffer, 100, MSG_DONTWAIT) == 0);
        CHECK(with.option(fd, SO_ERROR) == EPIPE);
        CHECK(with.unacknowledged(fd) == 4);
        CHECK(with.kernel.truth(0).reset_received);
    }
}

TEST_CASE("sim_kernel: data before a FIN says that the stream holds it (fact 10)") {
    setting with;
    const int fd = with.kernel.adopt_peer(peer_script().write("data").finish());
    const int half = with.kernel.adopt_peer(peer_script().write("data"));
    with.pass();
    with.receive(1, fd);
    with.receive(2, fd);
    with.kernel.shutdown(half, SHUT_RD);
    with.receive(3, half);
    with.receive(4, half);
    CHECK(with.pass() ==
          std::vector<seen>{{1, 4, nonempty}, {2, 0, nonempty}, {3, 4, 0}, {4, 0, 0}});
}

TEST_CASE("sim_kernel: an abort sends RST at once and ends what is in flight") {
    setting with;
    peer_script peer;
    peer.window = 1'000;
    peer.read_bytes = 0;
    peer.send_capacity = 3'000;
    const int fd = with.kernel.adopt_peer(peer);
    const std::string data(10'000, 'x');
    with.add(
        1, [&](auto* sqe) { io_uring_prep_send(sqe, fd, data.data(), data.size(), MSG_WAITALL); });
    with.add(2, [&](auto* sqe) { io_uring_prep_poll_multishot(sqe, fd, POLLRDHUP); });
    CHECK(with.pass().empty());
    CHECK(with.unacknowledged(fd) == 3'000);
    CHECK(with.info(fd).tcpi_notsent_bytes == 3'000);
    with.abort(fd);
    CHECK(with.kernel.truth(0).reset_sent);
    CHECK(with.pass() == std::vector<seen>{{1, 4'000, 0}, {2, POLLERR, more}});
    CHECK(with.kernel.shutdown(fd, SHUT_WR) == -ENOTCONN);
    with.cancel(3, 2);
    CHECK(with.pass() == std::vector<seen>{{3, 0, 0}, {2, -ECANCELED, 0}});
    CHECK(with.kernel.close(fd) == 0);
    CHECK(with.kernel.violations().empty());
}

TEST_CASE("sim_kernel: a chain goes on, is severed, or is hard") {
    setting with;
    const int fd = with.kernel.adopt_peer(peer_script().write("x").await_fin().finish());
    auto link = [&](std::uint64_t name, unsigned flag) {
        with.add(name, [&](auto* sqe) {
            io_uring_prep_recv(sqe, fd, with.buffer, 100, MSG_WAITALL);
            sqe->flags |= static_cast<__u8>(flag);
        });
    };
    with.add(1, [&](auto* sqe) {
        io_uring_prep_send(sqe, fd, "last", 4, MSG_WAITALL);
        sqe->flags |= IOSQE_IO_LINK;
    });
    with.add(2, [&](auto* sqe) { io_uring_prep_shutdown(sqe, fd, SHUT_WR); });
    SUBCASE("severed by a short MSG_WAITALL") {
        link(3, IOSQE_IO_LINK);
        with.add(4, [&](auto* sqe) { io_uring_prep_close(sqe, fd); });
        CHECK(with.pass() ==
              std::vector<seen>{{1, 4, 0}, {2, 0, 0}, {3, 1, nonempty}, {4, -ECANCELED, 0}});
        CHECK_FALSE(with.kernel.truth(0).closed);
    }
    SUBCASE("hard") {
        link(3, IOSQE_IO_HARDLINK);
        with.add(4, [&](auto* sqe) { io_uring_prep_close(sqe, fd); });
        CHECK(with.pass() == std::vector<seen>{{1, 4, 0}, {2, 0, 0}, {3, 1, nonempty}, {4, 0, 0}});
        CHECK_FALSE(with.kernel.truth(0).reset_sent);
    }
    CHECK(with.kernel.truth(0).fin_acknowledged);
}

TEST_CASE("sim_kernel: multishot receive fills provided buffers until there are none") {
    setting with;
    alignas(4096) static char memory[4096];
    std::memset(memory, 0, sizeof memory);
    auto* group = reinterpret_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
    request.ring_entries = 2;
    CHECK(with.kernel.ring_register(with.queue.descriptor(), IORING_REGISTER_PBUF_RING, &request,
                                    1) == 0);
    char space[2][3];
    for (unsigned short i = 0; i < 2; ++i)
        io_uring_buf_ring_add(group, space[i], 3, i, 1, i);
    io_uring_buf_ring_advance(group, 2);
    const int fd = with.kernel.adopt_peer(peer_script().write("abcdefg").finish());
    with.pass();
    auto receive = [&](std::uint64_t name) {
        with.add(name, [&](auto* sqe) {
            io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
            sqe->flags |= IOSQE_BUFFER_SELECT;
        });
    };
    receive(1);
    constexpr unsigned data = IORING_CQE_F_BUFFER | nonempty;
    CHECK(with.pass() ==
          std::vector<seen>{{1, 3, data | more}, {1, 3, data | more | 1U << 16}, {1, -ENOBUFS, 0}});
    CHECK(std::string_view(space[1], 3) == "def");
    io_uring_buf_ring_add(group, space[1], 3, 1, 1, 0);
    io_uring_buf_ring_add(group, space[0], 3, 0, 1, 1);
    io_uring_buf_ring_advance(group, 2);
    receive(2);
    CHECK(with.pass() == std::vector<seen>{{2, 1, data | more | 1U << 16}, {2, 0, nonempty}});
    CHECK(with.kernel.violations().empty());
}

TEST_CASE("sim_kernel: a zero-copy buffer is in use until it was acknowledged or given up") {
    setting with;
    peer_script peer;
    peer.window = 4;
    peer.read_bytes = 0;
    const int fd = with.kernel.adopt_peer(peer);
    std::string data = "zero copy";
    with.add(1, [&](auto* sqe) { io_uring_prep_send_zc(sqe, fd, data.data(), data.size(), 0, 0); });
    CHECK(with.pass() == std::vector<seen>{{1, 9, more}});
    SUBCASE("by an abort") {
        with.abort(fd);
        CHECK(with.pass() == std::vector<seen>{{1, 0, IORING_CQE_F_NOTIF}});
        CHECK(with.kernel.violations().empty());
    }
    SUBCASE("and is watched") {
        data[2] = '!';
        with.kernel.close(fd);
        CHECK(with.pass() == std::vector<seen>{});
        CHECK(with.kernel.truth(0).closed_in_use);
        with.kernel.after(1s, [&] {});
    }
}

TEST_CASE("sim_kernel: peers that vanish are given up, those with a closed window are not") {
    setting with;
    peer_script silent;
    silent.window = 2;
    silent.read_bytes = 0;
    const int gone = with.kernel.adopt_peer(peer_script().pause(1ms).vanish());
    const int shut = with.kernel.adopt_peer(silent);
    const int hasty = with.kernel.adopt_peer(silent);
    const unsigned patience_ms = 5'000;
    with.kernel.setsockopt(hasty, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    with.pass();
    for (const int fd : {gone, shut, hasty})
        with.add(static_cast<std::uint64_t>(fd),
                 [&](auto* sqe) { io_uring_prep_send(sqe, fd, "abcdef", 6, 0); });
    with.pass(10s);
    CHECK(with.option(hasty, SO_ERROR) == ETIMEDOUT);
    CHECK(with.option(gone, SO_ERROR) == 0);
    with.pass(1000s);
    CHECK(with.option(gone, SO_ERROR) == ETIMEDOUT);
    CHECK(with.option(shut, SO_ERROR) == 0);
    CHECK(with.kernel.truth(1).arrived == 2);
}

TEST_CASE("sim_kernel: a dropped completion is noticed when all waits for it") {
    setting with({.disturbed = false, .drop_completion = 12});
    with.kernel.disturb();
    std::uint64_t name = 1;
    for (; !with.kernel.hung() && name < 20; ++name) {
        with.add(name, [](auto* sqe) { io_uring_prep_nop(sqe); });
        with.queue.enter(true);
        with.queue.reap([](auto, auto) {});
    }
    CHECK(with.kernel.hung());
}

TEST_CASE("sim_kernel: a wait that nothing can end stops the program") {
    const pid_t child = ::fork();
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        std::signal(SIGABRT, SIG_DFL);
        setting().queue.enter(true);
        std::_Exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
}
