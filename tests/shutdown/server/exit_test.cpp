#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Programs that end in the middle of a run, each in a process of its own.

namespace {

struct process_end {
    int status = 0;
    std::string errors; // what it wrote there

    [[nodiscard]] bool exited_with(int code) const {
        return WIFEXITED(status) && WEXITSTATUS(status) == code;
    }
    [[nodiscard]] bool aborted() const {
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    }
};

process_end run_program(void (*program)()) {
    std::cout.flush();
    std::fflush(nullptr);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        std::signal(SIGABRT, SIG_DFL);
        ::alarm(10);
        program();
        std::_Exit(99);
    }
    ::close(ends[1]);
    process_end seen;
    char buffer[512];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        seen.errors.append(buffer, static_cast<std::size_t>(n));
    ::close(ends[0]);
    ::waitpid(child, &seen.status, 0);
    return seen;
}

// As a program's globals: made before anything runs, and destroyed by exit(3).
template <class T, class... Arguments>
T& global(Arguments&&... arguments) {
    static T made(std::forward<Arguments>(arguments)...);
    return made;
}

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
}

task<void> wait_long() { (void)co_await sleep_for(1h); }

task<void> exit_later() {
    (void)co_await sleep_for(1ms);
    std::exit(3);
}

task<void> exit_as_handler(stream) {
    std::exit(3);
    co_return;
}

task<void> serve_and_ask(server& serving, peer& client) {
    client = connect_peer(serving.local());
    const auto served = co_await serving.run();
    (void)served;
}

} // namespace

TEST_CASE("exit: a task of a static loop calls exit, and the program ends with its status") {
    const auto seen = run_program([] {
        loop& on = global<loop>();
        on.run(exit_later());
    });
    CHECK(seen.exited_with(3));
    CHECK(seen.errors.empty());
}

TEST_CASE("exit: so does a posted call") {
    const auto seen = run_program([] {
        loop& on = global<loop>();
        on.post([] { std::exit(3); });
        on.run(wait_long());
    });
    CHECK(seen.exited_with(3));
    CHECK(seen.errors.empty());
}

TEST_CASE("exit: so does a handler of a static server, whose client is reset") {
    const auto seen = run_program([] {
        peer& client = global<peer>();
        loop& on = global<loop>();
        server& serving = global<server>(on, any_port(), exit_as_handler);
        ledger(on).on_report([&client](const teardown_report&) { (void)client; });
        on.run(serve_and_ask(serving, client));
    });
    CHECK(seen.exited_with(3));
    CHECK(seen.errors.empty());
}

TEST_CASE("exit: streams that are kept beside a static loop are destroyed before or after it") {
    const auto keeps_one = [](loop& on, std::vector<stream>& kept) {
        const auto body = [&]() -> task<void> {
            kept.push_back(std::move(*adopt(on, tcp_pair().ours)));
            co_await exit_later();
        };
        on.run(body());
    };
    static const auto keep = keeps_one;
    auto seen = run_program([] {
        auto& kept = global<std::vector<stream>>();
        keep(global<loop>(), kept);
    });
    CHECK(seen.exited_with(3));
    CHECK(seen.errors.empty());
    seen = run_program([] {
        loop& on = global<loop>();
        keep(on, global<std::vector<stream>>());
    });
    CHECK(seen.exited_with(3));
    CHECK(seen.errors.empty());
}

TEST_CASE("exit: a loop destroyed beneath another thread's run stops the program with a line") {
    const auto seen = run_program([] {
        loop& on = global<loop>();
        std::thread([&on] { on.run(wait_long()); }).detach();
        ::usleep(50'000);
        std::exit(3);
    });
    CHECK(seen.aborted());
    CHECK(seen.errors.starts_with("ringdown: a loop was destroyed while it runs"));
    CHECK(std::ranges::count(seen.errors, '\n') == 1);
}

TEST_CASE("exit: a server destroyed while it runs stops the program with a line") {
    const auto seen = run_program([] {
        loop on;
        on.run([](loop& here) -> task<void> {
            server serving(here, any_port(), [](stream) -> task<void> { co_return; });
            here.spawn([](server& runs) -> task<void> {
                const auto served = co_await runs.run();
                (void)served;
            }(serving));
            (void)co_await sleep_for(1ms);
        }(on));
    });
    CHECK(seen.aborted());
    CHECK(seen.errors == "ringdown: a server was destroyed while it ran; await its run, or its "
                         "drain when accepting has failed\n");
}
