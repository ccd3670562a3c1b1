#include "server_rig.hpp"
#include "support/fixture.hpp"

#include <cstdlib>

#include <csignal>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace ringdown;
using namespace ringdown::testing;

// A crowd of idle connections at once, its clients in a process of their own. The number is small
// for the test run; RINGDOWN_CROWD=15000 for the figures of the design.

namespace {

using clock = std::chrono::steady_clock; // the same in both processes

// What the client process tells, in memory that both share.
struct crowd_board {
    std::atomic<std::uint64_t> answered;
    std::atomic<std::uint64_t> finished;
    std::atomic<std::uint64_t> reset;
    std::atomic<std::int64_t> last_fin; // of the clock
    std::atomic<bool> failed;
};

class crowd {
public:
    crowd(const address& server, std::size_t many, std::size_t stuck)
        : board_(
              static_cast<crowd_board*>(::mmap(nullptr, sizeof(crowd_board), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
          process_(::fork()) {
        if (process_ > 0) return;
        ::alarm(60);
        ::close_range(3, ~0U, 0); // the ring and the listening socket, for two
        board_->failed = !play(server, many, stuck);
        ::_exit(0);
    }
    ~crowd() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        ::munmap(board_, sizeof *board_);
    }
    [[nodiscard]] crowd_board& board() noexcept { return *board_; }

private:
    // One request each; then they wait for FIN, and answer it unless they are stuck.
    bool play(const address& server, std::size_t many, std::size_t stuck) {
        std::vector<pollfd> all;
        for (std::size_t i = 0; i < many; ++i) {
            const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
            if (fd < 0 || ::connect(fd, server.data(), server.size()) < 0) return false;
            char byte = 'x';
            if (::send(fd, &byte, 1, 0) != 1) return false;
            all.push_back({.fd = fd, .events = POLLIN, .revents = 0});
        }
        for (const pollfd& each : all) {
            char byte;
            if (::recv(each.fd, &byte, 1, 0) != 1) return false;
            ++board_->answered;
        }
        for (std::size_t left = many; left > 0;) {
            if (::poll(all.data(), all.size(), -1) < 0) return false;
            for (std::size_t i = 0; i < many; ++i)
                if (all[i].revents) left -= end(all[i], i < stuck);
        }
        return true;
    }

    // 1 when it is over for this one.
    std::size_t end(pollfd& one, bool stuck) {
        const auto now = clock::now().time_since_epoch().count();
        if (one.revents & (POLLERR | POLLHUP)) {
            ++board_->reset;
        } else {
            char byte;
            if (::recv(one.fd, &byte, 1, MSG_DONTWAIT) == 0) ++board_->finished;
            board_->last_fin = now;
            one.events = 0; // what tells of a reset comes all the same
            if (stuck) return 0;
        }
        ::close(std::exchange(one.fd, -1));
        return 1;
    }

    crowd_board* board_;
    pid_t process_;
};

std::chrono::nanoseconds cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::size_t crowd_size() {
    const char* asked = std::getenv("RINGDOWN_CROWD");
    return asked ? std::strtoul(asked, nullptr, 10) : 2'000;
}

std::chrono::microseconds since(clock::time_point begun, std::int64_t clock_count) {
    return std::chrono::duration_cast<std::chrono::microseconds>(
        clock::time_point(clock::duration(clock_count)) - begun);
}

} // namespace

TEST_CASE(
    "crowd: thousands of idle connections are ended at once, the stuck ones at the deadline") {
    allow_descriptors();
    const std::size_t many = crowd_size();
    const std::size_t stuck = many / 15;
    run([&](rig& at) -> task<void> {
        auto socket = std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"),
                                                         listen_options{.backlog = 20'000});
        crowd clients(socket->local(), many, stuck);
        crowd_board& board = clients.board();
        // What the asking takes: by the clock, and of this thread's own.
        clock::time_point asked;
        std::chrono::nanoseconds worked{0};
        server_options options;
        options.on_phase = [&](server_phase entered) -> task<void> {
            if (entered == server_phase::asked_to_finish) {
                asked = clock::now();
                worked = -cpu_time();
            }
            if (entered == server_phase::waiting) worked += cpu_time();
            co_return;
        };
        server_rig server(at, echo, options, std::move(socket));
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            const auto give_up = at.on.now() + 30s;
            while (board.answered < many && !board.failed && at.on.now() < give_up)
                co_await sleep_for(2ms);
            REQUIRE(board.answered == many);
            co_await server.until(connection_activity::idle, many);

            const auto before = clock::now();
            const server_snapshot seen = server.serving.snapshot();
            const auto whole = clock::now() - before;
            CHECK(seen.connections.size() == many);
            const server_summary again = server.serving.summary();
            const auto counted = clock::now() - before - whole;
            CHECK(again.count(connection_activity::idle) == many);

            const auto within = 3s;
            const auto begun = at.on.now();
            std::optional<drain_report> report;
            in.spawn(drain_into(server.serving, {.within = within}, report));
            while (!report)
                co_await sleep_for(5ms);
            check_drained(server, *report);
            const auto late = report->took - within;
            const auto issued = report->time_in(server_phase::asked_to_finish);
            const auto fins = since(asked, board.last_fin);
            MESSAGE(many << " idle, " << stuck << " of them stuck: last FIN sent after "
                         << issued.count() / 1000 << " us (" << worked.count() / 1000
                         << " us of CPU), seen after " << fins.count() << " us, drained "
                         << late.count() / 1000 << " us after the deadline; snapshot "
                         << whole.count() / 1000 << " us, summary " << counted.count() / 1000
                         << " us");
            CHECK(begun + within <= at.on.now());
            REQUIRE(report->stragglers.size() == stuck);
            CHECK(report->connections.count(actual_ending::graceful) == many - stuck);
            CHECK(report->connections.count(actual_ending::degraded) == stuck);
            CHECK(late >= 0ms);
            CHECK(late < 30s); // how late, and what the asking takes: the bench (`late`)
        });
        const bool seen = co_await eventually(at, [&] { return board.reset == stuck; });
        CHECK(seen);
        CHECK_FALSE(board.failed);
        CHECK(board.finished == many);
    });
}
