#include <optional>

#include <poll.h>

#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> wait_in(std::optional<operation<operations::poll>>& place) {
    auto& waited = *place; // g++ 12 would copy what a dereference names
    (void)co_await waited;
}

task<void> misuse(loop& on) {
    std::optional<operation<operations::poll>> place;
    place.emplace(operations::poll{silent_socket(), POLLIN});
    on.spawn(wait_in(place));
    co_await noop();
    place.reset();
}

} // namespace

int main() {
    must_stop_with("operation 'poll' was destroyed while in flight; await it, or cancel its scope "
                   "and join it");
    loop on;
    on.run(misuse(on));
}
