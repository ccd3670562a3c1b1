#pragma once

#include <optional>
#include <string>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/shutdown/session/session.hpp>

#include "framing.hpp"
#include "message.hpp"
#include "service.hpp"

namespace rpc {

/// A client's connection: reads its requests, runs them side by side, and sends each answer when
/// it is there.
///
/// Ends when the client finishes, or a drain begins; the answers owed are given first. A message
/// that makes no sense ends it too: it is answered by an error, behind the other answers.
class conversation {
public:
    conversation(service& service, ringdown::stream peer);

    /// Until the connection is closed.
    ringdown::task<void> run();

private:
    /// Room that a request takes while it is in progress.
    class place;

    ringdown::task<void> read(ringdown::scope& inside);
    ringdown::task<bool> dispatch_all(ringdown::scope& inside);
    ringdown::task<bool> dispatch(ringdown::scope& inside, frame arrived);
    ringdown::task<ringdown::result<void>> room_for(std::size_t bytes);
    ringdown::task<void> answer(ringdown::request owed, frame asked);
    ringdown::task<bool> make_answer(const message& asked, packed& answer);
    ringdown::task<void> break_off(std::optional<std::uint32_t> id, std::string why);
    ringdown::task<void> end_with_connection(ringdown::scope& inside);
    ringdown::task<void> watch_for_reset(ringdown::scope& inside);
    ringdown::task<void> end_silent_one();
    void join_service();

    service& service_;
    ringdown::loop& loop_;
    std::string peer_;
    ringdown::session session_;
    framing frames_;
    bool joined_ = false; // the service's sessions, and so its drain
    std::size_t in_progress_ = 0;
    std::size_t bytes_in_progress_ = 0;
    ringdown::event room_; // something that was in progress is no longer
};

} // namespace rpc
