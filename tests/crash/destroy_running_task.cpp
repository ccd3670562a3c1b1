#include <coroutine>

#include "crash.hpp"

using namespace ringdown;

namespace {

// A coroutine outside of the library that starts a task and then forgets it.
struct careless {
    struct promise_type {
        careless get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
        strand* governing() const { return nullptr; }
    };
};

careless start(task<void>& running) { co_await running; }

task<void> misuse(loop& on) {
    auto child = [](loop& turning) -> task<void> {
        (void)co_await sleep_for(turning, std::chrono::hours(1));
    }(on);
    start(child);
    co_await noop(on);
}

} // namespace

int main() {
    must_stop_with(
        "a task was destroyed while it ran; await it, or spawn it in a scope that joins it");
    loop on;
    on.run(misuse(on));
}
