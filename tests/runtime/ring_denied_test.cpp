#include <csignal>
#include <cstddef>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/child.hpp"
#include "support/fixture.hpp"
#include "support/fixture_system.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

// What a seccomp profile denies is one clear line, whenever that is.

namespace {

/// Refuses calls as a profile does.
class denying_system final : public forwarding_system {
public:
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        return setup ? -setup : forwarding_system::ring_setup(entries, params);
    }
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t bytes) noexcept override {
        return enter ? -enter
                     : forwarding_system::ring_enter(ring, to_submit, min_complete, flags, argument,
                                                     bytes);
    }
    int ring_register(int ring, unsigned opcode, void* argument, unsigned count) noexcept override {
        return registering ? -registering
                           : forwarding_system::ring_register(ring, opcode, argument, count);
    }

    int setup = 0;
    int enter = 0;
    int registering = 0;
};

bool deny_enter_by_seccomp() {
    sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = 4, .filter = steps};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

task<void> nothing() { co_return; }

// 0 when `run` throws the line that names io_uring_enter.
int run_refused(loop& on, task<void> main) {
    try {
        on.run(std::move(main));
    } catch (const std::system_error& refused) {
        const std::string text = refused.what();
        const bool clear = text.find("io_uring_enter") != std::string::npos &&
                           text.find('\n') == std::string::npos;
        return clear && refused.code() == std::errc::operation_not_permitted ? 0 : 2;
    }
    return 1;
}

task<void> wait_for_ever() { co_await sleep_for(1h); }

} // namespace

TEST_CASE("loop: io_uring that is denied is one line, which names the call") {
    const leak_guard unchanged;
    for (const int error : {EPERM, ENOSYS, EACCES, EINVAL}) {
        CAPTURE(error);
        const auto refusal = [](denying_system& calls) -> std::string {
            try {
                const loop refused({.calls = &calls});
            } catch (const std::system_error& why) {
                return why.what();
            }
            return "made";
        };
        denying_system calls;
        calls.setup = error;
        CHECK(refusal(calls).starts_with("io_uring_setup: "));
        calls.setup = 0;
        calls.registering = error;
        CHECK(refusal(calls).starts_with("io_uring_register: "));
        calls.registering = 0;
        calls.enter = error;
        CHECK(refusal(calls).starts_with("io_uring_enter: "));
        CHECK(refusal(calls).find('\n') == std::string::npos);
    }
}

TEST_CASE("loop: io_uring_enter that is denied between construction and run: run throws") {
    const leak_guard unchanged;
    denying_system calls;
    loop on({.calls = &calls});
    calls.enter = EPERM;
    bool begun = false;
    auto main = [](bool& has) -> task<void> {
        has = true;
        co_return;
    };
    CHECK(run_refused(on, main(begun)) == 0);
    CHECK_FALSE(begun);
    CHECK(run_refused(on, nothing()) == 0);
}

// In children, because what was in flight is never freed.
TEST_CASE("loop: io_uring_enter that is denied during a run: run throws, and again") {
    CHECK(in_child([] {
              denying_system calls;
              loop on({.calls = &calls});
              auto main = [](loop& turning, denying_system& denied) -> task<void> {
                  turning.spawn(wait_for_ever());
                  co_await turns(3);
                  denied.enter = EPERM;
                  co_await sleep_for(1ms);
              };
              if (const int wrong = run_refused(on, main(on, calls))) return wrong;
              if (!on.lost()) return 3;
              on.post([] {});
              on.stop();
              return run_refused(on, nothing());
          }) == 0);
}

TEST_CASE("loop: a full queue that cannot be submitted any more loses the loop, not the process") {
    CHECK(in_child([] {
              denying_system calls;
              loop on({.ring = {.entries = 4, .completion_entries = 8, .disabled = {}},
                       .calls = &calls});
              auto main = [](loop& turning, denying_system& denied) -> task<void> {
                  denied.enter = EPERM;
                  for (int i = 0; i < 100; ++i)
                      turning.spawn([]() -> task<void> { co_await noop(); }());
                  co_await noop();
              };
              return run_refused(on, main(on, calls));
          }) == 0);
}

TEST_CASE("loop: a seccomp filter is told of, before and during a run") {
    CHECK(in_child([] {
              probe_capabilities(kernel());
              if (!deny_enter_by_seccomp()) return 4;
              try {
                  const loop refused;
              } catch (const std::system_error& why) {
                  return why.code() == std::errc::operation_not_permitted ? 0 : 2;
              }
              return 1;
          }) == 0);
    CHECK(in_child([] {
              loop on;
              auto main = [](loop& turning) -> task<void> {
                  turning.spawn(wait_for_ever());
                  co_await turns(3);
                  deny_enter_by_seccomp();
                  co_await sleep_for(1ms);
              };
              return run_refused(on, main(on));
          }) == 0);
}
