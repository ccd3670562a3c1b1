#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> misuse(loop& on) {
    on.run([]() -> task<void> { co_return; }());
    co_return;
}

} // namespace

int main() {
    must_stop_with("loop::run was called inside itself");
    loop on;
    on.run(misuse(on));
}
