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
        promise_type(task<void>&, strand& its_own) : its_own_(&its_own) {}
        strand* governing() const { return its_own_; }

    private:
        strand* its_own_;
    };
};

careless start(task<void>& running, strand&) { co_await running; }

task<void> misuse(loop& on) {
    cancellation root(on);
    strand its_own;
    its_own.join(root);
    auto child = []() -> task<void> { (void)co_await sleep_for(std::chrono::hours(1)); }();
    start(child, its_own);
    co_await noop();
}

} // namespace

int main() {
    must_stop_with(
        "a task was destroyed while it ran; await it, or spawn it in a scope that joins it");
    loop on;
    on.run(misuse(on));
}
