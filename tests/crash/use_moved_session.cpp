#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> misuse(loop& on) {
    session first(*adopt(on, silent_socket()), session_role::client);
    session second = std::move(first);
    (void)first.begin_shutdown();
    co_return;
}

} // namespace

int main() {
    must_stop_with("a session was used after it was moved away");
    loop on;
    on.run(misuse(on));
}
