#include <optional>

#include <unistd.h>

#include "crash.hpp"

using namespace ringdown;

namespace {

lease kept;

task<void> misuse(loop& on) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || ::write(ends[1], "x", 1) != 1)
        co_return;
    stream from = *adopt(on, ends[0]);
    auto got = co_await from.recv_lease();
    kept = std::move(*got);
}

} // namespace

int main() {
    must_stop_with("a lease outlived its loop; let every lease end before the loop is destroyed");
    std::optional<loop> on(std::in_place);
    on->run(misuse(*on));
    on.reset();
}
