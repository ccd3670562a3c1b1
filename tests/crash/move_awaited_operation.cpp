#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> wait_for(event::wait_operation& shared) { (void)co_await shared; }

task<void> misuse(loop& on) {
    event never;
    auto shared = never.wait();
    on.spawn(wait_for(shared));
    (void)co_await with_deadline(on.now(), std::move(shared));
}

} // namespace

int main() {
    must_stop_with("an operation was moved after it was awaited");
    loop on;
    on.run(misuse(on));
}
