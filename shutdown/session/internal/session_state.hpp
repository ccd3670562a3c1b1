#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/internal/counted_ref.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/shutdown/ending/internal/report_sink.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

class session_group;

/// Which side of the conversation a session is.
enum class session_role : std::uint8_t {
    client, ///< Sends requests; answers are due from the peer.
    server, ///< Receives requests; owes answers.
};

/// How far a session has come.
enum class session_phase : std::uint8_t {
    open,      ///< Requests may begin.
    answering, ///< Ending; requests in progress get their answers.
    closing,   ///< The last answer was given; the connection is being ended.
    completed, ///< The connection is closed and reported.
};

constexpr bool legal(session_phase from, session_phase to) noexcept { return from < to; }

/// Who began the ending of a session.
enum class session_starter : std::uint8_t {
    local,   ///< `begin_shutdown`, or the library on its behalf: a drain, an idle time.
    peer,    ///< Its FIN, or its reset, came first.
    dispose, ///< The session was destroyed.
};

/// How the peer ended its side.
enum class session_peer_end : std::uint8_t {
    graceful,  ///< FIN between messages, with nothing due.
    truncated, ///< FIN inside a message, or with answers due: so ends a process that dies, too.
    reset,     ///< RST, or the network gave up.
    none,      ///< We ended the connection before the peer did.
};

/// What becomes of sends that are queued behind others when the shutdown begins.
enum class unsent_sends : std::uint8_t {
    flush,  ///< They are sent, and FIN behind them.
    cancel, ///< They are refused with `operation_canceled`; FIN follows what had begun.
};

/// What a session that ends is held to.
struct session_policy {
    /// What the report names as the cause, unless something made it ungraceful.
    teardown_cause cause = teardown_cause::application;
    /// The deadline covers the answers still due as well.
    ending_policy limits{};
    unsent_sends unsent = unsent_sends::flush; ///< A server's answers are flushed anyway.
    /// Whether a truncated end is answered by `graceful` or by `abort`. Graceful gives requests
    /// that arrived whole their answers. Behind a `begin_shutdown`, what its policy says holds.
    ending_plan when_truncated = plans::graceful;
};

/// Something that happened to a session.
enum class session_event : std::uint8_t {
    peer_shutdown,      ///< The peer finished: FIN between messages, with nothing due.
    peer_truncated,     ///< The peer finished inside a message or with answers due.
    peer_reset,         ///< The connection was reset, or lost.
    shutdown_completed, ///< The connection is closed; always the last.
};

/// How a session ended.
struct session_report {
    session_starter began = session_starter::local;
    session_peer_end peer = session_peer_end::none;
    std::uint64_t requests = 0; ///< Begun.
    std::uint64_t answered = 0; ///< Of these, finished.
    std::uint64_t canceled = 0; ///< Of these, given up, or left when the connection was closed.
    std::uint64_t dropped = 0;  ///< Not begun, because the session was ending.
    teardown_report connection;
};

/// The names of the values.
/// @{
std::string_view name(session_phase value) noexcept;
std::string_view name(session_starter value) noexcept;
std::string_view name(session_peer_end value) noexcept;
std::string_view name(session_event value) noexcept;
/// @}

/// What a session's handle, its requests and its operations share.
///
/// Kept by references, and by the connection until that is closed.
class session_state final : public pooled,
                            public list_hook<session_group>,
                            private later_follower<report_sink> {
public:
    session_state(stream stream, session_role role, const session_policy& when_peer_ends);

    void retain() noexcept { ++references_; }
    void release() noexcept;

    std::error_code begin_request();
    void end_request(bool answered) noexcept;
    bool begin_shutdown(const session_policy& policy);
    void abort(teardown_cause why);
    /// Makes the deadline of a session that is ending already no later than that of the limits.
    void tighten(const ending_policy& limits) noexcept;
    void dispose() noexcept;
    void inside_message(bool inside) noexcept;
    /// Begins the shutdown of a session whose peer may not know of it yet: of a server's when the
    /// first request has been answered, or when none has begun in time; else at once. The deadline
    /// of the policy, which has one, holds anyway.
    void begin_shutdown_once_served(const session_policy& policy,
                                    std::chrono::nanoseconds first_request_within);

    /// Why a send, on behalf of a request or of none (0), must not begin; empty when it may.
    [[nodiscard]] std::error_code begin_send(std::uint64_t request) noexcept;
    void end_send(std::uint64_t request, const sent& outcome) noexcept {
        if (outcome.bytes > 0) cut_ = outcome.error ? request : 0;
    }

    /// A receive was told of the end of the stream, or of its loss.
    void note_end(std::error_code why) noexcept;
    /// The end of the stream was seen, with nothing left to receive, by something else.
    void note_finished() noexcept;
    /// A receive is under way, until it has ended.
    /// @{
    void begin_receive() noexcept;
    void end_receive() noexcept { receiving_ = false; }
    /// @}

    [[nodiscard]] session_phase phase() const noexcept { return phase_; }
    [[nodiscard]] std::size_t pending() const noexcept {
        return static_cast<std::size_t>(counts_.requests - counts_.answered - counts_.canceled);
    }
    [[nodiscard]] connection& connection_of() const noexcept { return *connection_; }

    [[nodiscard]] std::optional<session_event> next_event() noexcept;
    [[nodiscard]] event& event_arrived() noexcept { return event_arrived_; }
    [[nodiscard]] event& peer_end_known() noexcept { return peer_end_known_; }
    [[nodiscard]] event& completed() noexcept { return completed_; }
    [[nodiscard]] session_peer_end end_of_peer() const noexcept { return counts_.peer; }
    [[nodiscard]] const session_report& report() const noexcept { return counts_; }

    void set_group(session_group* group) noexcept { group_ = group; }
    [[nodiscard]] session_group* group() const noexcept { return group_; }

private:
    class newcomer;

    ~session_state();

    void enter(session_phase next) noexcept;
    void begin_ending(session_starter who, ending_request how);
    void refuse_unsent() noexcept;
    [[nodiscard]] bool answers_by_abort() const noexcept;
    void note_peer_end(session_peer_end how) noexcept;
    void emit(session_event what) noexcept;
    void tell_requests() noexcept;
    void mark_if_idle() noexcept;
    void let_go() noexcept;
    void reported(const teardown_report& report) noexcept override;
    [[nodiscard]] bool expects_more() const noexcept override;

    stream stream_;
    connection_ref connection_;
    session_role role_;
    session_phase phase_ = session_phase::open;
    bool inside_message_ = false;
    bool receiving_ = false;
    std::uint8_t events_emitted_ = 0;
    std::uint8_t events_taken_ = 0;
    std::array<session_event, 3> events_{}; // at most the peer's FIN, its reset, the completion
    std::uint32_t references_ = 0;
    std::uint64_t cut_ = 0; // whose send was cut short, and who may go on with it; 0: nobody's
    session_policy when_peer_ends_;
    ending_plan when_truncated_;
    session_report counts_;
    event event_arrived_;
    event peer_end_known_;
    event completed_;
    session_group* group_ = nullptr;
    std::unique_ptr<newcomer> newcomer_; // until the shutdown begins
};

/// Keeps a session's state.
using session_ref = counted_ref<session_state>;

} // namespace ringdown
