#include <thread>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> once(loop& on) { co_await noop(on); }

} // namespace

int main() {
    must_stop_with(
        "a loop was run, or destroyed with connections left on it, by another thread than "
        "the one that ran it first");
    loop on;
    on.run(once(on));
    std::thread([&] { on.run(once(on)); }).join();
}
