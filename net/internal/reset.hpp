#pragma once

namespace ringdown {

class connection;

/// Resets a connection at once where its transport can; elsewhere shuts it down, which tells the
/// peer as far as that is possible. Answers 0, or the negated errno with which the kernel refuses:
/// a filter of system calls, a security module or a protocol above TCP. Source: connect(2) with
/// AF_UNSPEC.
int reset_now(connection& connection) noexcept;

/// Lets the close reset instead, provided that nobody else holds the socket. Answers alike. Source:
/// SO_LINGER in socket(7).
int reset_at_close(connection& connection) noexcept;

} // namespace ringdown
