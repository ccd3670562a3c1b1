#include "crash.hpp"

using namespace ringdown;

task<void> misuse() {
    auto once = []() -> task<void> { co_await noop(); }();
    co_await once;
    co_await once;
}

int main() {
    must_stop_with("a task was awaited twice; await it once and keep its value");
    loop on;
    on.run(misuse());
}
