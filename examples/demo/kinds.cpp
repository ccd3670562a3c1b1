#include "kinds.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

// Answers that must still be on their way when the peer breaks off are larger than what both
// kernels' buffers take at once on loopback; those that nobody reads need not be.
constexpr std::array kinds{
    peer_kind{.name = "echo, then finish",
              .weight = 170,
              .request = request_kind::echo,
              .amount = {1, 64 * kib},
              .finishes = finishing::after_echo},
    peer_kind{.name = "echo, half-close first",
              .weight = 80,
              .request = request_kind::echo,
              .amount = {1, 64 * kib},
              .finishes = finishing::with_request},
    peer_kind{.name = "keeps talking",
              .weight = 80,
              .request = request_kind::echo,
              .amount = {2 * kib, 4 * kib},
              .write_bytes = 256,
              .write_every = 100ms,
              .finishes = finishing::after_echo},
    peer_kind{.name = "half-close, then read",
              .weight = 120,
              .request = request_kind::answer,
              .amount = {1, 256 * kib},
              .finishes = finishing::with_request},
    peer_kind{.name = "server first",
              .weight = 150,
              .request = request_kind::answer,
              .amount = {1, 256 * kib},
              .finishes = finishing::after_end},
    peer_kind{.name = "body still coming",
              .weight = 40,
              .request = request_kind::answer,
              .amount = {100, 32 * kib},
              .body = {64 * kib, 512 * kib},
              .finishes = finishing::after_end},
    peer_kind{.name = "half-close, never read",
              .weight = 30,
              .request = request_kind::answer,
              .amount = {1 * kib, 2 * mib},
              .reads = reading::never,
              .finishes = finishing::with_request},
    peer_kind{.name = "reads slowly",
              .weight = 50,
              .request = request_kind::answer,
              .amount = {100 * kib, 400 * kib},
              .reads = reading::slowly,
              .read_bytes = 16 * kib,
              .read_every = 20ms,
              .finishes = finishing::after_end,
              .receive_buffer = 64 * kib},
    peer_kind{.name = "reads too slowly",
              .weight = 20,
              .request = request_kind::answer,
              .amount = {1 * mib, 4 * mib},
              .reads = reading::slowly,
              .read_bytes = 8 * kib,
              .read_every = 100ms,
              .finishes = finishing::after_end,
              .receive_buffer = 64 * kib},
    peer_kind{.name = "reset in mid-answer",
              .weight = 70,
              .request = request_kind::answer,
              .amount = {512 * kib, 4 * mib},
              .leaves = leaving::reset,
              .leave_percent = {1, 40}},
    peer_kind{.name = "close with bytes unread",
              .weight = 30,
              .request = request_kind::answer,
              .amount = {512 * kib, 4 * mib},
              .leaves = leaving::close_unread,
              .leave_percent = {1, 40}},
    peer_kind{.name = "reset while idle",
              .weight = 40,
              .request = request_kind::echo,
              .amount = {1, 4 * kib},
              .leaves = leaving::reset,
              .leave_percent = {100, 100},
              .leave_milliseconds = {5, 200}},
    peer_kind{.name = "reset at once", .weight = 20, .leaves = leaving::reset},
    peer_kind{.name = "reset after the end",
              .weight = 30,
              .request = request_kind::answer,
              .amount = {1, 64 * kib},
              .leaves = leaving::reset,
              .leave_percent = {101, 101}, // more than all: only the end of stream lets it leave
              .leave_milliseconds = {0, 100}},
    peer_kind{.name = "silent",
              .weight = 30,
              .request = request_kind::answer,
              .amount = {256 * kib, 4 * mib},
              .reads = reading::never},
    peer_kind{.name = "never closes",
              .weight = 20,
              .request = request_kind::answer,
              .amount = {1, 64 * kib}},
    peer_kind{.name = "uploads after the end",
              .weight = 20,
              .request = request_kind::answer,
              .amount = {1, 64 * kib},
              .uploads = uploading::flood},
    peer_kind{.name = "drips after the end",
              .weight = 10,
              .request = request_kind::answer,
              .amount = {1, 64 * kib},
              .write_every = 100ms,
              .uploads = uploading::drip},
    peer_kind{.name = "sends nothing", .weight = 20, .finishes = finishing::after_end},
    peer_kind{.name = "vanishes in mid-answer",
              .weight = 15,
              .request = request_kind::answer,
              .amount = {16 * kib, 2 * mib},
              .leaves = leaving::vanish,
              .leave_percent = {0, 60}},
    peer_kind{.name = "vanishes while idle",
              .weight = 5,
              .request = request_kind::echo,
              .amount = {1, 4 * kib},
              .leaves = leaving::vanish,
              .leave_percent = {100, 100},
              .leave_milliseconds = {5, 50}},
};

std::uint64_t uniform(std::mt19937_64& dice, range r) {
    return std::uniform_int_distribution<std::uint64_t>(r.low, r.high)(dice);
}

// Sizes are spread over their orders of magnitude: small answers end otherwise than large ones.
std::uint64_t any_magnitude(std::mt19937_64& dice, range r) {
    if (r.high == 0) {
        return 0;
    }
    const auto low = std::log(static_cast<double>(std::max<std::uint64_t>(r.low, 1)));
    const auto high = std::log(static_cast<double>(r.high));
    const auto drawn = std::exp(std::uniform_real_distribution(low, high + 1e-9)(dice));
    return std::clamp(static_cast<std::uint64_t>(drawn), r.low, r.high);
}

} // namespace

std::span<const peer_kind> all_kinds() { return kinds; }

script draw_script(std::mt19937_64& dice) {
    static const auto weights = [] {
        std::array<double, kinds.size()> all{};
        std::ranges::transform(kinds, all.begin(), &peer_kind::weight);
        return all;
    }();
    std::discrete_distribution<std::size_t> choose(weights.begin(), weights.end());

    script drawn;
    drawn.kind = choose(dice);
    const auto& kind = kinds[drawn.kind];
    drawn.amount = any_magnitude(dice, kind.amount);
    drawn.body = any_magnitude(dice, kind.body);
    // Rounded up, or 101 % of a small answer would be all of it.
    drawn.leave_after_read = (drawn.amount * uniform(dice, kind.leave_percent) + 99) / 100;
    drawn.leave_delay = std::chrono::milliseconds(uniform(dice, kind.leave_milliseconds));
    return drawn;
}

} // namespace ringdown_demo
