#pragma once

#include <cstdint>

#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// Looks out for the peer's end on behalf of all who want to know, by one poll, without receiving.
///
/// What it learns it notes on the connection, whose watchers and whose ending look at every change.
/// An error that the kernel tells only once is taken here, or was told to an operation that is to
/// complete. Source: poll(2), POLLRDHUP.
class peer_watch final : public pooled, public connection_operation {
public:
    explicit peer_watch(connection& connection) noexcept
        : connection_operation(connection, "poll") {}

    /// One more wants to know.
    void join() noexcept { ++wanted_by_; }
    /// One less. The last one takes the poll with it: true when that has still to complete, and may
    /// tell of an end all the same.
    bool leave() noexcept;

    /// Looks out for the end, FIN or a reset, until it has come. To be called again after it was
    /// stopped.
    void look_for_end();
    /// Behind a FIN of which all know, looks out for a reset, which no receive tells of while
    /// nobody receives. The ending of a connection does not stop it where it is what asks.
    void look_for_reset(at_ending when_ending);

    /// What is learnt from now on is nobody's business.
    void stop() noexcept { stopped_ = true; }

    /// The end has come, and what it is can be told.
    [[nodiscard]] bool end_is_known() noexcept;
    /// Why the kernel does not watch; empty while it does.
    [[nodiscard]] std::error_code refused() const noexcept { return system_error(refused_); }
    /// How many polls have begun.
    [[nodiscard]] std::uint32_t polls() const noexcept { return polls_; }

    [[nodiscard]] at_ending when_ending() const noexcept override { return when_ending_; }

private:
    void note_due_error() noexcept;
    void settled(completion what) noexcept override;

    std::uint32_t wanted_by_ = 0;
    std::uint32_t polls_ = 0;
    int refused_ = 0; // a negated errno
    at_ending when_ending_ = at_ending::cancel;
    bool end_seen_ = false;
    bool error_due_ = false; // and told to nobody yet
    bool stopped_ = false;
};

} // namespace ringdown
