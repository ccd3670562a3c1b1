#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include <ringdown/net/stream.hpp>
#include <ringdown/net/unique_descriptor.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/ending/peer_closed.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// A connection that the library has ended without closing its descriptor.
struct left_open {
    /// Empty where somebody else had begun to end the connection before: then that ending counts,
    /// and this is its report; and where the kernel resets by no call but the close.
    unique_descriptor descriptor;
    teardown_report report;
};

/// Ends a connection as `graceful_close` does, FIN both ways, and leaves the descriptor open.
///
/// What the peer still sends is dropped and counted; an application that wants it calls
/// `shutdown_send`, reads to the end of the stream, and then this. Past the policy's limits it
/// aborts, and the report says `degraded`; the descriptor is left then too, without a connection.
/// `connect` can use it again.
/// Neither TCP nor a unix stream carries data with it: send that before.
/// Cancellation: as `graceful_close`; descriptor and report are still answered.
/// Source: RFC 9293 section 3.6; `ending`.
task<left_open> disconnect(stream& ended, ending_policy policy = {});

/// Ends a connection by RST, as `abort_close` does, and leaves the descriptor open, without a
/// connection and with nothing in TIME_WAIT: `connect` can use it again at once.
///
/// An ending under way is cut short, but keeps its own way with the descriptor.
/// Cancellation: safe, it waits for the kernel alone. Unix sockets: shut down both ways, and of no
/// further use.
/// Source: connect(2) with AF_UNSPEC.
task<left_open> abort_disconnect(stream& ended);

/// Gives the connection back to the application, open: the last close is the application's.
///
/// Nothing new is started; receives in flight are cancelled; sends that were handed over reach the
/// kernel, up to `within`, past which they are cut short and counted (cause `deadline`). Once
/// nothing is in flight, a sample is taken, the report made (`released`) and the descriptor handed
/// out. No FIN, no RST, but for a zero-copy send whose buffer the kernel still holds when the time
/// is over: the flush includes those buffers, and only a reset gives them back then. Bytes that
/// `recv_lease` had received ahead and nobody took are dropped, and counted.
///
/// Cancellation: cuts the flush short (cause `canceled`); descriptor and report are still answered.
/// `abort_close` beside it resets the connection.
task<left_open> release(stream& ended, std::chrono::nanoseconds within = std::chrono::seconds(30));

/// Ends receiving, as `shutdown_receive` does, and completes when the peer has ended too, behind
/// all its data, which is dropped and counted; tells how.
///
/// An application that wants that data reads to the end of the stream instead, or awaits
/// `peer_ended` beside its receives.
/// Errors: those of `peer_ended`. Cancellation: ends the wait; receiving stays ended.
task<result<peer_end>> recv_disconnect(stream& stream);

} // namespace ringdown
