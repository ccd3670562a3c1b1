#include "crash.hpp"

using namespace ringdown;

namespace {

task<void> misuse(loop& on) {
    session served(*adopt(on, silent_socket()), session_role::server);
    auto owed = served.begin_request();
    owed->finish();
    (void)co_await owed->send(bytes_of("x"));
}

} // namespace

int main() {
    must_stop_with("a request was used after it was finished or moved away");
    loop on;
    on.run(misuse(on));
}
