#include <memory>
#include <string>

#include <unistd.h>

#include "crash.hpp"

using namespace ringdown;

int main() {
    must_stop_with("a `listener` takes a socket for streams, a `packet_listener` one for packets");
    loop on;
    listen_options options;
    options.packets = true;
    const auto at = *address::parse("unix:@ringdown-crash-" + std::to_string(::getpid()));
    const listener streams(on, std::make_shared<listening_socket>(at, options));
}
