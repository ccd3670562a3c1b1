#include <algorithm>
#include <thread>

#include <doctest/doctest.h>

#include "support/child.hpp"
#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A zero-copy send pins its buffer, which an ordinary user may do up to a limit.

TEST_CASE("send_zero_copy: what the limit on locked memory does not allow is copied") {
    const int status = as_ordinary_user(8 << 20, [] {
        loop on;
        bool whole = true;
        auto main = [](loop& turning, bool& all) -> task<void> {
            // All of it at once, and a part after others have reached the limit.
            for (const std::size_t bytes : {std::size_t{1}, std::size_t{16} << 20}) {
                auto [here, there] = over_tcp(
                    turning, {.our_send_buffer = 200'000, .their_receive_buffer = 200'000});
                auto data = pattern(bytes);
                peer_reading seen;
                std::thread reader([&from = there, &seen] { seen = from.read_to_end(); });
                const sent done = co_await here.send_zero_copy(data);
                std::ranges::fill(data, std::byte{0x55});
                const auto finished = co_await here.shutdown_send();
                reader.join();
                all = all && done && done.bytes == bytes && finished && seen.finished &&
                      seen.intact && seen.bytes == bytes;
            }
        };
        on.run(main(on, whole));
        return whole ? 0 : 1;
    });
    CHECK(status == 0);
}
