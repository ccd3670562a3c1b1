// What must hold of one session, seen from both sides.

#include "verify.hpp"

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

// A running server sees what a client did within this time.
constexpr auto notice_time = 300ms;

class rules {
public:
    rules(const session_record& seen, const session_said& said, const session_times& times)
        : seen_(seen), said_(said), times_(times) {}

    std::vector<std::string> run() {
        answers_are_right();
        counts_agree();
        if (graceful()) {
            graceful_lost_nothing();
        }
        if (seen_.acted != clock::time_point{} && seen_.acted + notice_time < times_.drained) {
            client_ended();
        }
        who_hangs_is_reset();
        return std::move(found_);
    }

private:
    void require(bool holds, std::string what) {
        if (!holds) {
            found_.push_back(std::move(what));
        }
    }

    [[nodiscard]] bool graceful() const { return said_.connection.ending == "graceful"; }

    void answers_are_right() {
        require(seen_.again == 0, fmt::format("{} answers came again", seen_.again));
        require(seen_.unasked == 0, fmt::format("{} answers were not asked for", seen_.unasked));
        require(!seen_.wrong, "an answer has a wrong byte");
    }

    void counts_agree() {
        require(said_.requests == said_.answered + said_.canceled,
                fmt::format("{} requests are not {} answered and {} cancelled", said_.requests,
                            said_.answered, said_.canceled));
        require(said_.requests + said_.dropped <= seen_.sent,
                fmt::format("the server counts {} requests, {} were sent",
                            said_.requests + said_.dropped, seen_.sent));
        // The last part of an answer can arrive, and the session be reset, before it is counted.
        require(seen_.answered <= said_.requests,
                fmt::format("{} answers came, and the server began {} requests", seen_.answered,
                            said_.requests));
        require(seen_.reset_sent || seen_.reset_seen || seen_.answered == said_.answered,
                fmt::format("the server counts {} answered, {} answers came", said_.answered,
                            seen_.answered));
    }

    void graceful_lost_nothing() {
        require(seen_.end_read && !seen_.reset_seen && !seen_.reset_sent,
                "graceful, but its client read no end, or a reset");
        require(!seen_.inside_answer, "graceful, but it ended within an answer");
        require(said_.canceled == 0, fmt::format("graceful, but {} cancelled", said_.canceled));
        require(seen_.answered == said_.answered,
                fmt::format("graceful, but {} of {} answers came", seen_.answered, said_.answered));
    }

    void client_ended() {
        require(said_.began == "peer", "its client ended first, not " + said_.began);
        switch (session_kinds[seen_.kind].acts) {
        case client_act::half_close:
            require(graceful() && said_.peer_end == "graceful", "its client ended gracefully");
            require(seen_.answered == seen_.sent,
                    fmt::format("{} of the {} requests before its FIN were answered",
                                seen_.answered, seen_.sent));
            break;
        case client_act::cut:
            require(said_.peer_end == "truncated", "its client cut a request off");
            require(seen_.answered == seen_.sent,
                    fmt::format("{} of the {} whole requests were answered", seen_.answered,
                                seen_.sent));
            break;
        case client_act::reset:
            require(said_.peer_end == "reset" && said_.connection.ending == "reset",
                    "its client reset");
            break;
        case client_act::none:
            break;
        }
    }

    // A client that does not finish, or whose request takes a minute, ends at the deadline.
    void who_hangs_is_reset() {
        const auto& kind = session_kinds[seen_.kind];
        if (kind.finishes && kind.longest < 10s) {
            return;
        }
        const auto took = std::chrono::microseconds(said_.connection.microseconds.total);
        require(seen_.reset_seen && said_.connection.ending == "degraded",
                "it should have been reset at the deadline, and was " + said_.connection.ending);
        require(took > times_.deadline - 100ms && took < times_.deadline + 100ms,
                fmt::format("it ended after {} us, not at the deadline", took.count()));
        require(kind.finishes == (said_.canceled == 1),
                fmt::format("{} of its requests were cancelled", said_.canceled));
    }

    const session_record& seen_;
    const session_said& said_;
    const session_times& times_;
    std::vector<std::string> found_;
};

} // namespace

std::vector<std::string> disagreements(const session_record& seen, const session_said& said,
                                       const session_times& times) {
    return rules(seen, said, times).run();
}

} // namespace ringdown_demo
