#include "crash.hpp"

using namespace ringdown;

task<void> misuse() {
    auto first = []() -> task<void> { co_return; }();
    auto second = std::move(first);
    co_await second;
    co_await first;
}

int main() {
    must_stop_with("a task was awaited after it was moved away");
    loop on;
    on.run(misuse());
}
