#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> misuse(loop& on) {
    stream first = *adopt(on, silent_socket());
    stream second = std::move(first);
    (void)co_await first.send(bytes_of("x"));
}

} // namespace

int main() {
    must_stop_with("a stream or socket was used after it was moved away");
    loop on;
    on.run(misuse(on));
}
