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
    (void)co_await with_deadline(
        on.now() + std::chrono::milliseconds(100),
        [](stream& from) -> task<void> { (void)co_await from.recv_lease(); }(shared));
}

} // namespace

int main() {
    must_stop_with("two receives at once on one stream; await one before the next");
    loop on;
    on.run(misuse(on));
}
