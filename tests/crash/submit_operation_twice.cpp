#include <poll.h>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> wait_for(operation<operations::poll>& shared) { (void)co_await shared; }

task<void> misuse(loop& on) {
    operation<operations::poll> shared({silent_socket(), POLLIN});
    on.spawn(wait_for(shared));
    on.spawn(wait_for(shared));
    co_await noop();
}

} // namespace

int main() {
    must_stop_with("an operation was submitted twice");
    loop on;
    on.run(misuse(on));
}
