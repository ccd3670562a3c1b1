#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> misuse(loop& on) {
    scope unjoined(on);
    unjoined.spawn([]() -> task<void> { co_await noop(); }());
    co_return;
}

} // namespace

int main() {
    must_stop_with("a scope was destroyed before its tasks ended; co_await its join");
    loop on;
    on.run(misuse(on));
}
