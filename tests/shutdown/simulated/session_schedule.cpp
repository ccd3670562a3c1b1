#include "session_schedule.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

#include "support/framing_layer.hpp"

namespace schedules {
namespace {

using namespace ringdown;
using namespace std::chrono_literals;

class conversation {
public:
    conversation(loop& on, stream peer, const options& what, traffic& seen,
                 const sim_kernel& kernel)
        : on_(on), seen_(seen), kernel_(kernel), dice_(what.seed * 2 + 1),
          server_(what.how == way::session_server),
          session_(std::move(peer), server_ ? session_role::server : session_role::client,
                   policy()) {}

    task<void> run() {
        co_await with_scope([this](scope& inside) -> task<void> {
            requests_.reserve(8);
            for (auto left = below(4); left > 0; --left)
                begin(inside);
            inside.spawn(receive_all(inside));
            inside.spawn(note_events());
            if (below(3) == 0) inside.spawn(session_.watch_peer());
            co_await sleep_for(pause());
            won_ = session_.begin_shutdown(policy());
            if (session_.begin_shutdown(policy())) complain("begun twice");
            if (session_.begin_request()) complain("a request began while the session was ending");
            const auto done = co_await session_.completed();
            if (done)
                compare(*done);
            else
                complain("completion was not told");
        });
        compare_events();
    }

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }
    std::chrono::nanoseconds pause() {
        return std::array<std::chrono::nanoseconds, 4>{1us, 50us, 3ms, 120ms}[below(4)];
    }
    void complain(std::string what) { seen_.complaints.push_back("session: " + std::move(what)); }

    session_policy policy() {
        session_policy made;
        made.limits = {
            .within = 500ms, .deadline = {}, .idle = 300ms, .discard_bytes_max = 300'000};
        made.unsent = below(2) ? unsent_sends::flush : unsent_sends::cancel;
        made.when_truncated = below(4) ? plans::graceful : plans::abort;
        return made;
    }

    void begin(scope& inside) {
        if (begun_ == 8) return;
        auto made = session_.begin_request();
        if (!made) return;
        ++begun_;
        if (server_) {
            inside.spawn(handle(std::move(*made), begun_));
        } else {
            requests_.push_back(std::move(*made));
            inside.spawn(ask(requests_.size() - 1));
        }
    }

    // A server's handler: computes, answers in one or two parts, sometimes gives up.
    task<void> handle(request owed, std::uint64_t number) {
        co_await sleep_for(pause());
        for (auto parts = 1 + below(2); parts > 0; --parts) {
            no_fin_yet();
            if (below(8) == 0)
                co_await with_deadline(on_.now() + pause(), send(owed, number));
            else
                co_await send(owed, number);
            no_fin_yet();
        }
        if (below(8) == 0) co_return;
        if (session_.phase() != session_phase::completed) ++finished_;
        owed.finish();
    }

    // While one request is in progress, a server has not finished.
    void no_fin_yet() {
        if (session_.phase() != session_phase::completed && kernel_.truth(0).fin_sent)
            complain("FIN before the last answer");
    }

    // A client's request. Its answer is whatever comes; see `receive_all`.
    task<void> ask(std::size_t which) {
        if (below(3) == 0) co_await sleep_for(pause());
        if (requests_[which]) co_await send(requests_[which], which + 1);
    }

    task<void> send(request& by, std::uint64_t number) {
        static constexpr std::array<std::size_t, 5> sizes{1, 100, 5'000, 40'000, 150'000};
        const auto data = seen_.next_to_send(sizes[below(sizes.size())]);
        traffic::handed& mine = seen_.handed_over.emplace_back(data);
        const sent done = co_await by.send(data);
        mine.accepted = done.bytes;
        if (!done.error != (done.bytes == data.size())) complain("a send lied");
        if (done.bytes > 0 && hole_ != 0 && hole_ != number)
            complain("something was sent behind a hole");
        if (done.bytes > 0) hole_ = done.error ? number : 0;
        if (server_ && done.error == std::errc::broken_pipe)
            complain("an answer was refused behind our own FIN");
    }

    task<void> receive_all(scope& inside) {
        std::vector<std::byte> into(1 + below(3000));
        const bool leases = below(2) == 0;
        std::error_code end;
        while (!end) {
            if (leases && below(8) > 0) {
                const auto got = co_await session_.recv_lease();
                if (!got)
                    end = got.error();
                else
                    received(inside, got->data());
            } else {
                const auto got = co_await session_.recv(into);
                if (!got)
                    end = got.error();
                else
                    received(inside, std::span(into).first(*got));
            }
        }
        if (end == errc::end_of_stream || end == errc::truncated)
            end_of_stream(end == errc::truncated);
    }

    void received(scope& inside, std::span<const std::byte> bytes) {
        seen_.received(bytes);
        inside_ = below(3) == 0;
        session_.inside_message(inside_);
        if (server_)
            begin(inside);
        else if (below(3) > 0 && next_due_ < requests_.size())
            finish(requests_[next_due_++]);
    }

    void finish(request& due) {
        if (due && session_.phase() != session_phase::completed) ++finished_;
        due.finish();
    }

    // What was due, or missing, counts at this moment and not later.
    void end_of_stream(bool without_goodbye) {
        told_ = true;
        cut_ = without_goodbye || inside_ || (!server_ && next_due_ < requests_.size());
        if (!server_ && !seen_.layered && seen_.received_bytes != kernel_.truth(0).from_peer)
            complain("end of stream before all of it was received");
        session_.inside_message(false);
        if (server_) return;
        for (request& due : requests_)
            finish(due);
    }

    task<void> note_events() {
        for (;;) {
            const auto next = co_await session_.next_event();
            if (!next || !*next) co_return;
            events_ += std::string(name(**next)) + " ";
        }
    }

    void compare(const session_report& done) {
        report_ = done;
        using enum session_peer_end;
        if (done.requests != begun_) complain("a request was lost");
        if (done.requests != done.answered + done.canceled) complain("requests do not add up");
        if (done.answered != finished_) complain("finished and answered differ");
        if ((done.began == session_starter::local) != won_) complain("the wrong one began");
        if (!won_ && done.began != session_starter::peer) complain("nobody began");
        if (told_ && done.peer != reset && done.peer != (cut_ ? truncated : graceful))
            complain("the peer's end was called something else");
        // Of an end that nobody received, only what is missing for certain counts.
        const bool unanswered = !server_ && done.canceled > 0;
        const bool missing = inside_ || unanswered || goodbye_missing();
        if (!told_ && done.peer == truncated && !missing) complain("truncated without reason");
        if (session_.pending() != 0) complain("requests in progress of what is over");
        const bool ended_right = done.connection.cause == teardown_cause::truncated;
        if (ended_right && !(told_ ? cut_ : missing))
            complain("the cause is truncated without reason");
    }

    // Of a layer, in what was taken from the kernel.
    bool goodbye_missing() const {
        const std::string_view wire(seen_.peer_wire);
        const auto taken = kernel_.truth(seen_.connection).taken;
        return seen_.layered && !ringdown::testing::unframe(wire.substr(0, taken)).goodbye;
    }

    void compare_events() {
        using enum session_peer_end;
        const std::string last = "shutdown_completed ";
        // A FIN that nobody received, and perhaps a reset behind it.
        const bool missing = inside_ || (!server_ && report_.canceled > 0) || goodbye_missing();
        const bool cut = told_ ? cut_ : missing && events_.starts_with("peer_truncated ");
        const std::string one = cut ? "peer_truncated " : "peer_shutdown ";
        bool right = false;
        switch (report_.peer) {
        case graceful:
        case truncated:
            right = events_ == one + last;
            break;
        case reset:
            right = events_ == "peer_reset " + last || events_ == one + "peer_reset " + last;
            break;
        case none:
            right = events_ == last;
            break;
        }
        if (!right)
            complain("events " + events_ + (told_ ? "after an end " : "without an end ") +
                     (cut ? "that was cut" : "in order"));
    }

    loop& on_;
    traffic& seen_;
    const sim_kernel& kernel_;
    std::mt19937_64 dice_;
    bool server_;
    session session_;
    std::vector<request> requests_; // a client's, answered in order
    std::size_t next_due_ = 0;
    std::uint64_t begun_ = 0;
    std::uint64_t finished_ = 0;
    std::uint64_t hole_ = 0; // whose send was cut short, if the last one was
    bool won_ = false;
    bool inside_ = false;
    bool told_ = false;
    bool cut_ = false;
    std::string events_;
    session_report report_;
};

} // namespace

task<void> run_session(loop& on, stream peer, const options& what, traffic& seen,
                       const sim_kernel& kernel) {
    conversation talk(on, std::move(peer), what, seen, kernel);
    co_await talk.run();
}

} // namespace schedules
