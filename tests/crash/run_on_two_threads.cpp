#include <thread>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> once(loop& on) { co_await noop(on); }

} // namespace

int main() {
    must_stop_with("a loop was run by another thread than the first time");
    loop on;
    on.run(once(on));
    std::thread([&] { on.run(once(on)); }).join();
}
