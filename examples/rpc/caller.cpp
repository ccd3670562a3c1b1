#include "caller.hpp"

#include <csignal>
#include <cstdio>

#include <ringdown/net/connect.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "json_value.hpp"

namespace rpc {

using namespace ringdown;

caller::caller(loop& loop, const call_options& options, packed params)
    : loop_(loop), options_(options), params_(std::move(params)),
      deadline_(loop.now() + options.within), frames_(options.frame_max) {
    tally_.calls = options.count;
}

task<void> caller::run() {
    connect_options how;
    how.deadline = deadline_;
    auto connected = co_await connect(loop_, options_.server, how);
    if (!connected) {
        tally_.canceled_because =
            "cannot connect to " + options_.server.text() + ": " + connected.error().message();
        co_return;
    }
    session_.emplace(std::move(*connected), session_role::client, ending());
    co_await with_scope([this](scope& inside) { return converse(inside); });
}

task<void> caller::converse(scope& inside) {
    inside.spawn(end_on_signals());
    inside.spawn(end_at_deadline());
    inside.spawn(receive_all());
    co_await send_all();
    (void)co_await wait_until_below(1);
    session_->begin_shutdown(ending());
    (void)co_await session_->completed();
    inside.cancel();
}

session_policy caller::ending() const {
    session_policy policy;
    policy.limits.within = options_.within;
    policy.limits.deadline = deadline_;
    policy.limits.idle = {};
    policy.unsent = unsent_sends::cancel;
    return policy;
}

task<void> caller::send_all() {
    for (std::uint32_t id = 0; id < options_.count; ++id) {
        const auto room = co_await wait_until_below(options_.in_flight);
        if (!room) co_return;
        const bool sent = co_await send_one(id);
        if (!sent) co_return;
    }
}

task<bool> caller::send_one(std::uint32_t id) {
    auto due = session_->begin_request();
    if (!due) co_return false;
    packed bytes(256);
    begin_request(bytes, id, options_.method);
    bytes.write(params_.data(), params_.size());
    auto& begun = flights_[id];
    begun = {std::move(*due), loop_.now()};
    // Its answer may come before this has ended, and take the flight away.
    const auto sent = co_await begun.due.send(bytes_of(bytes));
    co_return static_cast<bool>(sent);
}

task<result<void>> caller::wait_until_below(std::size_t in_flight) {
    while (!over_ && flights_.size() >= in_flight) {
        moved_.reset();
        const auto waited = co_await moved_.wait();
        if (!waited) co_return waited;
    }
    if (over_) co_return std::unexpected(make_error_code(errc::ending));
    co_return result<void>{};
}

task<void> caller::receive_all() {
    for (bool sound = true; sound;) {
        const auto received = co_await session_->recv(frames_.space());
        if (!received) {
            const bool finished = received.error() == errc::end_of_stream;
            end_because(finished ? "the server ended the connection"
                                 : received.error().message().c_str());
            break;
        }
        frames_.received(*received);
        sound = take_all();
        session_->inside_message(frames_.inside_message());
    }
    // What is due now stays so: each flight counts as cancelled.
    over_ = true;
    flights_.clear();
    moved_.set();
}

bool caller::take_all() {
    for (;;) {
        const auto next = frames_.next();
        if (!next) {
            break_off(next.error());
            return false;
        }
        if (!*next) return true;
        const auto answer = read_message((*next)->value.get());
        if (!answer || answer->type != message_type::response) {
            break_off(answer ? "a call, where answers are due" : answer.error().why);
            return false;
        }
        if (!take(*answer)) return false;
    }
}

bool caller::take(const message& answer) {
    const bool failed = answer.error->type != msgpack::type::NIL;
    if (!answer.id) {
        // To none of the calls: the server could not read what it got.
        std::fprintf(stderr, "rpc: the server: %s\n", json_line(to_json(*answer.error)).c_str());
        return true;
    }
    const auto found = flights_.find(*answer.id);
    if (found == flights_.end()) {
        break_off("an answer to call " + std::to_string(*answer.id) + ", which is not due");
        return false;
    }
    tally_.note_latency(loop_.now() - found->second.begun);
    ++(failed ? tally_.failed : tally_.answered);
    if (options_.count == 1) {
        const std::string line = json_line(to_json(failed ? *answer.error : *answer.result));
        if (failed)
            std::fprintf(stderr, "rpc: %s failed: %s\n", options_.method.c_str(), line.c_str());
        else
            std::printf("%s\n", line.c_str());
        std::fflush(stdout);
    }
    found->second.due.finish();
    flights_.erase(found);
    moved_.set();
    return true;
}

void caller::break_off(const std::string& why) {
    end_because(("the server sent " + why).c_str());
    session_->abort();
}

void caller::end_because(const char* why) {
    if (tally_.canceled_because.empty() && tally_.canceled() > 0) tally_.canceled_because = why;
}

task<void> caller::end_on_signals() {
    signals told({SIGINT, SIGTERM});
    auto signal = co_await told.next();
    if (!signal) co_return;
    end_because("interrupted");
    session_->begin_shutdown(ending());
    moved_.set();
    signal = co_await told.next();
    if (signal) session_->abort();
}

task<void> caller::end_at_deadline() {
    const auto slept = co_await sleep_until(deadline_);
    if (!slept) co_return;
    end_because("the deadline has passed");
    session_->abort(teardown_cause::deadline);
}

} // namespace rpc
