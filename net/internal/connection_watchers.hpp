#pragma once

#include <chrono>

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/internal/intrusive_list.hpp>

// What a connection tells, and whom: how shutdown/ takes part without net/ knowing it.

namespace ringdown {

/// What drives the ending of a connection. Where `shutdown/` is linked it is always an `ending`.
class ending_driver {
public:
    virtual ~ending_driver() = default;
    /// An operation completed, or an end was seen. May destroy the connection.
    virtual void changed() noexcept = 0;
    /// The peer's name as far as it was needed; AF_UNSPEC before.
    [[nodiscard]] virtual const address& peer() const noexcept = 0;
};

/// Told when a connection has been closed.
class closed_watcher : public list_hook<closed_watcher> {
public:
    virtual void connection_closed() noexcept = 0;

protected:
    ~closed_watcher() = default;
};

/// Looks at an open connection whenever something on it has changed.
class connection_watcher : public list_hook<connection_watcher> {
public:
    virtual ~connection_watcher() = default;
    /// An operation has completed, or received bytes were taken. May begin to end the connection.
    virtual void look() noexcept = 0;
    /// The connection is ending from now on; there is nothing more to look at.
    virtual void connection_ends() noexcept = 0;
};

/// Told what a connection's handler says about its idleness.
class idle_watcher {
public:
    /// It is idle. May end the connection.
    virtual void marked_idle() noexcept = 0;
    /// It is ended when nothing moves for this long from now on; zero: never.
    virtual void set_idle(std::chrono::nanoseconds time) = 0;

protected:
    ~idle_watcher() = default;
};

} // namespace ringdown
