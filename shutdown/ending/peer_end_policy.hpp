#pragma once

#include <ringdown/net/stream.hpp>
#include <ringdown/shutdown/ending/policy.hpp>

namespace ringdown {

/// What the library does when the peer ends first.
struct peer_end_policy {
    enum class action : std::uint8_t {
        leave,  ///< Nothing: the application sees the end and acts.
        finish, ///< A graceful ending, behind every send that was handed over.
        abort,  ///< RST.
    };
    enum class unread : std::uint8_t {
        /// Act as soon as the end is seen. What the application has not received is dropped, and
        /// counted.
        discard,
        /// Act when the application has received everything; if it never does, never.
        receive_first,
    };

    action does = action::leave;
    unread data = unread::discard;
    ending_policy ending = {}; ///< The limits of `finish`.
};

/// Chooses what happens when the peer ends first, by FIN or reset; by default nothing does.
///
/// Works without any receive of the application. Once it acts, the connection is one that is being
/// ended: the report has the cause `peer_finished` (`peer_reset` where the peer reset, whatever the
/// action), goes to the loop's ledger, and to whoever ends the connection as well. An ending that
/// the application begins comes first: then this does nothing.
/// A peer whose data fills the window has not sent its FIN yet, so its end can only be seen once
/// there is room: an application that never receives calls `shutdown_receive`.
/// A session acts on the peer's end by itself: the choice ends where one is made of the stream.
/// Called again, the new choice holds. Costs one poll per connection that uses it.
/// Source: poll(2), POLLRDHUP.
void when_peer_ends(stream& stream, const peer_end_policy& policy);

} // namespace ringdown
