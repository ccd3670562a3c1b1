#include "crash.hpp"

using namespace ringdown;

namespace {

using long_sleep = decltype(sleep_for(std::chrono::hours(1)));

task<void> wait_for(long_sleep& shared) { (void)co_await shared; }

task<void> misuse(loop& on) {
    auto shared = sleep_for(std::chrono::hours(1));
    on.spawn(wait_for(shared));
    (void)co_await with_deadline(on.now(), std::move(shared));
}

} // namespace

int main() {
    must_stop_with("an operation was moved after it was awaited");
    loop on;
    on.run(misuse(on));
}
