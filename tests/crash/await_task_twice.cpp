#include "crash.hpp"

using namespace ringdown;

task<void> misuse(loop& on) {
    auto once = [](loop& turning) -> task<void> { co_await noop(turning); }(on);
    co_await once;
    co_await once;
}

int main() {
    must_stop_with("a task was awaited twice; await it once and keep its value");
    loop on;
    on.run(misuse(on));
}
