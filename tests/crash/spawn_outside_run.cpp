#include "crash.hpp"

using namespace ringdown;

int main() {
    must_stop_with("loop::spawn was called while the loop does not run; spawn from the task given "
                   "to run");
    loop on;
    on.spawn([]() -> task<void> { co_return; }());
}
