#include "support/still_world.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// Accepts whose cancellation the kernel misses, because they are woken in the breath of their
// submission and somebody else takes the connection. What waits for them must not wait for ever.

namespace {

struct world {
    explicit world(int missed)
        : kernel({.disturbed = false, .missed_cancellations = missed}), on([this] {
              loop_options made;
              made.calls = &kernel;
              return made;
          }()),
          socket(std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"),
                                                    listen_options{}, kernel)) {}

    sim_kernel kernel;
    loop on;
    std::shared_ptr<listening_socket> socket;
};

task<void> accept_for(listener& from, loop& on, std::chrono::nanoseconds time) {
    const auto none = co_await with_deadline(on.now() + time, from.accept());
    CHECK(!none);
}

} // namespace

TEST_CASE("accept: a listener stops though the cancellations of its accepts were missed") {
    for (const std::size_t ahead : {std::size_t{4}, listener::unlimited}) {
        CAPTURE(ahead);
        world at(3);
        at.on.run([](world& here, std::size_t taken) -> task<void> {
            listener from(here.on, here.socket, taken);
            co_await accept_for(from, here.on, 1ms);
            const auto stopped = co_await from.stop();
            CHECK(stopped.has_value());
        }(at, ahead));
        CHECK(at.on.operations_in_flight() == 0);
    }
}

TEST_CASE("accept: so does a run that ends with a listener that still accepts") {
    for (const std::size_t ahead : {std::size_t{4}, listener::unlimited}) {
        CAPTURE(ahead);
        world at(3);
        listener from(at.on, at.socket, ahead);
        at.on.run([](world& here, listener& accepting) -> task<void> {
            co_await accept_for(accepting, here.on, 1ms);
        }(at, from));
        CHECK(at.on.operations_in_flight() == 0);
    }
}

TEST_CASE("accept: so does one that is destroyed while it accepts") {
    world at(3);
    at.on.run([](world& here) -> task<void> {
        {
            listener from(here.on, here.socket);
            co_await accept_for(from, here.on, 1ms);
        }
        co_await sleep_for(1ms);
        CHECK(here.on.operations_in_flight() == 0);
    }(at));
}
