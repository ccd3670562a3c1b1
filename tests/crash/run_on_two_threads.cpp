#include <thread>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> once() { co_await noop(); }

} // namespace

int main() {
    must_stop_with(
        "a loop was run, or destroyed with connections left on it, by another thread than "
        "the one that ran it first");
    loop on;
    on.run(once());
    std::thread([&] { on.run(once()); }).join();
}
