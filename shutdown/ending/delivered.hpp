#pragma once

#include <ringdown/net/socket_handle.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// Completes when the peer's kernel has acknowledged every byte handed to a send so far, and FIN
/// once it was sent. Says nothing about the peer's application.
///
/// Looks at intervals that grow from 0.2 to 10 ms, since acknowledgements have no event; an idle
/// peer may delay its own by 40 ms. Unix sockets: when the peer has read everything.
/// Errors: `connection_reset`, `timed_out` and the like, `errc::ending` when the connection is
/// being ended (its report tells), `operation_canceled`.
/// Cancellation: at once. Lifetime: `watched` stays until the task has ended.
/// Source: TCP_INFO in tcp(7); SIOCOUTQ in unix(7).
task<result<void>> delivered(connected_socket& watched);

} // namespace ringdown
