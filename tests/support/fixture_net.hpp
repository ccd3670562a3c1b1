#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ringdown/net/datagram.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/net/packet_stream.hpp>
#include <ringdown/net/stream.hpp>

#include "fixture.hpp"
#include "peer.hpp"

/// A stream of the library, and who it talks to.
struct conversation {
    ringdown::stream here;
    ringdown::testing::peer there;
};

conversation converse(ringdown::loop& on, ringdown::testing::raw_pair made);
conversation over_tcp(ringdown::loop& on, const ringdown::testing::pair_options& options = {});
conversation over_unix(ringdown::loop& on);

/// Receives one piece, of at most that size, as text; an error is thrown.
ringdown::task<std::string> read_some(ringdown::stream& from, std::size_t most = 65536);
/// The same as a lease.
ringdown::task<std::string> lease_some(ringdown::stream& from);
/// One of both.
ringdown::task<std::string> receive(ringdown::stream& from, bool as_lease,
                                    std::size_t most = 65536);
/// Receives to the end of the stream; an error other than that is thrown.
ringdown::task<std::string> read_all(ringdown::stream& from);

/// Receives one message, as text: in quotes (`'abc' of 10` if it was cut), `end`, or the error's.
/// @{
ringdown::task<std::string> next(ringdown::packet_stream& from, std::size_t most = 65536);
ringdown::task<std::string> next(ringdown::datagram_socket& from, std::size_t most = 65536);
/// @}

/// Awaits one operation, keeps its answer, and counts that it has ended.
template <class Operation, class Answer>
ringdown::task<void> keep(Operation operation, Answer& into) {
    into = co_await operation();
}

/// A test stream's bytes as text, for comparing.
std::string pattern_text(std::uint64_t bytes, std::uint64_t first = 0);

/// Listens on a port of the kernel's choice.
std::shared_ptr<ringdown::listening_socket> any_port();
std::vector<ringdown::testing::peer> connect_many(const ringdown::address& to, int count);

/// Turns that the loop takes in that time; an idle one takes hardly any.
ringdown::task<std::uint64_t> enters_during(ringdown::loop& on, std::chrono::milliseconds time);
