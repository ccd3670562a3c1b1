#include <csignal>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/signals.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

namespace {

/// What the signals leave blocked is unblocked again, for the tests behind.
class mask_kept {
public:
    mask_kept() { ::pthread_sigmask(SIG_SETMASK, nullptr, &before_); }
    ~mask_kept() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

} // namespace

TEST_CASE("signals: one that came before the wait, and one that comes during it, are answered") {
    const mask_kept kept;
    test_loop on;
    signals watched({SIGUSR1, SIGUSR2});
    on.run([&]() -> task<void> {
        ::kill(::getpid(), SIGUSR1);
        CHECK(*co_await watched.next() == SIGUSR1);
        on.loop.post([] { ::kill(::getpid(), SIGUSR2); });
        CHECK(*co_await watched.next() == SIGUSR2);
    });
}

TEST_CASE("signals: several are answered one by one") {
    const mask_kept kept;
    test_loop on;
    signals watched({SIGUSR1, SIGUSR2, SIGHUP});
    on.run([&]() -> task<void> {
        for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP})
            ::kill(::getpid(), signal);
        int sum = 0;
        for (int i = 0; i < 3; ++i)
            sum += *co_await watched.next();
        CHECK(sum == SIGUSR1 + SIGUSR2 + SIGHUP);
    });
}

TEST_CASE("signals: a cancelled wait loses none") {
    const mask_kept kept;
    test_loop on;
    signals watched({SIGUSR1});
    std::error_code told;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](signals& from, std::error_code& into) -> task<void> {
                into = (co_await from.next()).error();
            };
            inside.spawn(body(watched, told));
            co_await turns(2);
            inside.cancel();
        });
        CHECK(told == std::errc::operation_canceled);
        ::kill(::getpid(), SIGUSR1);
        CHECK(*co_await watched.next() == SIGUSR1);
    });
}

TEST_CASE("signals: the wait ends with its loop") {
    const mask_kept kept;
    test_loop on;
    signals watched({SIGUSR1});
    on.run([&]() -> task<void> {
        on.loop.spawn([](signals& from) -> task<void> { CHECK(!co_await from.next()); }(watched));
        co_await turns(1);
    });
}

TEST_CASE("signals: a number that is no signal is refused") {
    const mask_kept kept;
    test_loop on;
    CHECK_THROWS_AS(signals({0}), std::exception);
    CHECK_THROWS_AS(signals({65}), std::exception);
    CHECK_THROWS_AS(signals({-1}), std::exception);
}

TEST_CASE("signals: a program started with child_attributes can be ended by what they block") {
    const mask_kept kept;
    test_loop on;
    const int unwatched = SIGRTMIN + 7; // that no other test has had blocked
    sigset_t before;
    ::sigemptyset(&before);
    ::sigaddset(&before, unwatched);
    ::pthread_sigmask(SIG_BLOCK, &before, nullptr);
    const signals watched({SIGTERM, unwatched});
    // Blocked before, so it stays so.
    const sigset_t mask = child_signal_mask();
    CHECK(::sigismember(&mask, SIGTERM) == 0);
    CHECK(::sigismember(&mask, unwatched) == 1);

    child_attributes attributes;
    char program[] = "sleep", time[] = "60";
    char* arguments[] = {program, time, nullptr};
    pid_t child = 0;
    REQUIRE(::posix_spawnp(&child, program, nullptr, attributes.get(), arguments, environ) == 0);
    ::kill(child, SIGTERM);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGTERM);
}
