#pragma once

#include <cerrno>
#include <expected>
#include <system_error>

namespace ringdown {

/// A value, or why there is none.
template <class T>
using result = std::expected<T, std::error_code>;

/// What can be said of an operation and has no errno of its own.
///
/// Everything else is a `std::errc`: `connection_reset` when the peer reset the connection,
/// `operation_canceled` when the operation was cancelled before it did anything.
enum class errc {
    end_of_stream = 1, ///< The peer finished sending; every byte before its FIN was received.
    ending,            ///< The connection is being ended; nothing new is started on it.
    deadline_passed,   ///< The time given to the operation is over.
    connection_limit,  ///< As many connections are open as are allowed at a time.
    truncated,         ///< The peer's FIN came without the goodbye of its layer.
};

const std::error_category& error_category() noexcept;
std::error_code make_error_code(errc code) noexcept;

inline std::error_code canceled() noexcept {
    return std::make_error_code(std::errc::operation_canceled);
}

/// The error of a call or completion that answered a negated errno.
inline std::error_code system_error(int negated_errno) noexcept {
    // One spelling, whether the kernel cancelled or the library did.
    if (negated_errno == -ECANCELED) return canceled();
    return {-negated_errno, std::system_category()};
}

} // namespace ringdown

template <>
struct std::is_error_code_enum<ringdown::errc> : std::true_type {};
