#pragma once

#include <chrono>

#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/internal/intrusive_list.hpp>

// What a connection tells, and whom: how the storeys above take part without net/ knowing them.

namespace ringdown {

class connection;

/// What drives the ending of a connection.
class ending_driver {
public:
    virtual ~ending_driver() = default;
    /// An operation completed, or an end was seen. May destroy the connection.
    virtual void changed() noexcept = 0;
};

/// Follows a connection to its end: a session, a server, a task that waits. Each keeps what it
/// makes of the connection, and overrides what it wants to know.
///
/// What they are told at the end is the business of whoever ends connections.
/// They stand in a chain, whoever came last in front. The first to come needs no place in it.
class connection_follower {
public:
    /// Who came before it.
    /// @{
    [[nodiscard]] virtual connection_follower* before() const noexcept { return nullptr; }
    virtual void set_before(connection_follower* earlier) noexcept {
        require(!earlier, "a follower without a place in the chain came to a connection that has "
                          "one already; make it a `later_follower`");
    }
    /// @}

    /// The handler waits for a request of which it has received nothing; or it does no longer. May
    /// end the connection.
    virtual void mark_idle(bool) noexcept {}
    /// True while that mark stands, and nothing was received since.
    [[nodiscard]] virtual bool marked_idle() const noexcept { return false; }
    /// Requests are in progress: the peer waits for us, so its silence is no idleness.
    virtual void note_requests(bool) noexcept {}
    /// From now on the connection has an idle time of its own; zero: none. False where nobody
    /// keeps one.
    virtual bool set_idle(std::chrono::nanoseconds) { return false; }
    /// The end of the peer's stream, if it comes now, comes too early.
    [[nodiscard]] virtual bool expects_more() const noexcept { return false; }

protected:
    ~connection_follower() = default;
};

/// One that may come when others follow already.
template <class Follower>
class later_follower : public Follower {
public:
    [[nodiscard]] connection_follower* before() const noexcept final { return before_; }
    void set_before(connection_follower* earlier) noexcept final { before_ = earlier; }

protected:
    ~later_follower() = default;

private:
    connection_follower* before_ = nullptr;
};

/// Tells the followers of a connection what its handler says.
/// @{
void tell_idle(connection& connection, bool idle) noexcept;
void tell_requests(connection& connection, bool in_progress) noexcept;
bool tell_idle_time(connection& connection, std::chrono::nanoseconds time);
/// @}

/// Looks at an open connection whenever something on it has changed.
class change_watcher : public list_hook<change_watcher> {
public:
    virtual ~change_watcher() = default;
    /// An operation has completed, or received bytes were taken. May begin to end the connection.
    virtual void look() noexcept = 0;
    /// The connection is ending from now on; there is nothing more to look at.
    virtual void connection_ends() noexcept = 0;
};

} // namespace ringdown
