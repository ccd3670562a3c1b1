#include <array>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> receive(stream& from) {
    std::array<std::byte, 8> into;
    (void)co_await from.recv(into);
}

task<void> misuse(loop& on) {
    stream shared = *adopt(on, silent_socket());
    on.spawn(receive(shared));
    on.spawn(receive(shared));
    co_await noop();
}

} // namespace

int main() {
    must_stop_with("two receives at once on one stream; await one before the next");
    loop on;
    on.run(misuse(on));
}
