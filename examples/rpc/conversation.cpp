#include "conversation.hpp"

#include <algorithm>
#include <cstdio>

#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/ending/peer_closed.hpp>

#include "methods.hpp"

namespace rpc {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

// A client that a drain finds connected, and silent, may have its first request on the way.
constexpr auto first_request_within = 1s;

session_policy when_client_ends(const service_options& options) {
    return {.limits = options.ending, .when_truncated = options.when_broken};
}

} // namespace

class conversation::place {
public:
    place(conversation& holder, std::size_t bytes) noexcept : holder_(holder), bytes_(bytes) {
        holder_.bytes_in_progress_ += bytes_;
        auto& most = holder_.service_.count().in_progress_most;
        most = std::max(most, ++holder_.in_progress_);
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() {
        --holder_.in_progress_;
        holder_.bytes_in_progress_ -= bytes_;
        holder_.room_.set();
    }

private:
    conversation& holder_;
    std::size_t bytes_;
};

conversation::conversation(service& service, stream peer)
    : service_(service), loop_(peer.on()), peer_(peer.peer().text()),
      session_(std::move(peer), session_role::server, when_client_ends(service.options())),
      frames_(service.options().frame_max) {}

task<void> conversation::run() {
    co_await with_scope([this](scope& inside) -> task<void> {
        inside.spawn(end_with_connection(inside));
        inside.spawn(watch_for_reset(inside));
        inside.spawn(end_silent_one());
        co_await read(inside);
    });
    // Nobody was reading when the reset came: what it ended is told to who reads.
    result<std::size_t> last{1};
    while (session_.phase() == session_phase::open && last)
        last = co_await session_.recv(frames_.space());
    if (!joined_) service_.count(session_);
}

task<void> conversation::read(scope& inside) {
    for (;;) {
        const auto received = co_await session_.recv(frames_.space());
        if (!received) co_return;
        frames_.received(*received);
        const bool sound = co_await dispatch_all(inside);
        if (!sound) co_return;
        session_.inside_message(frames_.inside_message());
        join_service();
    }
}

// Every connection is served what it sends first, as far as there is room at once: also one that a
// drain found in the accept queue.
void conversation::join_service() {
    if (std::exchange(joined_, true)) return;
    service_.add(session_);
}

task<bool> conversation::dispatch_all(scope& inside) {
    for (;;) {
        auto next = frames_.next();
        if (!next) {
            auto breaking = break_off({}, next.error());
            co_await breaking;
            co_return false;
        }
        if (!*next) co_return true;
        auto dispatching = dispatch(inside, std::move(**next));
        const bool sound = co_await dispatching;
        if (!sound) co_return false;
    }
}

task<bool> conversation::dispatch(scope& inside, frame arrived) {
    auto asked = read_message(arrived.value.get());
    if (asked && asked->type == message_type::response)
        asked = std::unexpected(bad_message{{}, "an answer, and nothing was asked"});
    if (!asked) {
        auto breaking = break_off(asked.error().id, asked.error().why);
        co_await breaking;
        co_return false;
    }
    const auto room = co_await room_for(arrived.bytes);
    if (!room) co_return false;
    auto owed = session_.begin_request();
    if (!owed) co_return true; // counted as dropped; so are those behind it
    if (asked->type == message_type::notification) ++service_.count().notifications;
    inside.spawn(answer(std::move(*owed), std::move(arrived)));
    co_return true;
}

task<result<void>> conversation::room_for(std::size_t bytes) {
    const service_options& options = service_.options();
    while (in_progress_ >= options.in_progress_max ||
           (in_progress_ > 0 && bytes_in_progress_ + bytes > options.frame_max)) {
        join_service();
        room_.reset();
        const auto waited = co_await room_.wait();
        if (!waited) co_return waited;
    }
    co_return result<void>{};
}

task<void> conversation::answer(request owed, frame asked) {
    const place taken(*this, asked.bytes);
    const auto meant = read_message(asked.value.get());
    packed bytes(256);
    const bool made = co_await make_answer(*meant, bytes);
    const bool wanted = meant->type == message_type::request;
    asked.value = {};
    if (!made) co_return;
    if (wanted) {
        const auto sent = co_await owed.send(bytes_of(bytes));
        if (!sent) co_return;
    }
    owed.finish();
}

task<bool> conversation::make_answer(const message& asked, packed& answer) {
    const std::uint32_t id = asked.id.value_or(0);
    begin_result(answer, id);
    msgpack::packer<packed> result(answer);
    std::string failure;
    bool made = true;
    try {
        made = co_await invoke(asked, result);
    } catch (const call_failed& failed) {
        failure = failed.what();
        ++service_.count().failed;
        answer.clear();
        pack_error(answer, id, failure);
    }
    co_return made;
}

// Where one message ends and the next begins is not known any more. The error answer is one of the
// answers that are owed, so that the ending waits for it.
task<void> conversation::break_off(std::optional<std::uint32_t> id, std::string why) {
    ++service_.count().bad_messages;
    std::fprintf(stderr, "rpc: %s: %s\n", peer_.c_str(), why.c_str());
    if (!service_.options().when_broken.flushes) {
        session_.abort();
        co_return;
    }
    auto owed = session_.begin_request();
    session_.begin_shutdown({.limits = service_.options().ending});
    if (!owed) co_return;
    packed bytes(256);
    pack_error(bytes, id, why);
    const auto sent = co_await owed->send(bytes_of(bytes));
    if (sent) owed->finish();
}

// At the deadline, or by a reset: there is nobody to answer any more.
task<void> conversation::end_with_connection(scope& inside) {
    (void)co_await session_.completed();
    inside.cancel();
}

// While there is no room, nothing is read that would tell.
task<void> conversation::watch_for_reset(scope& inside) {
    const auto end = co_await peer_closed(session_);
    const bool reset = end && *end == peer_end::reset;
    const bool ended_by_us = !end && (end.error() == errc::ending || end.error() == canceled());
    if (reset || (!end && !ended_by_us)) inside.cancel();
}

task<void> conversation::end_silent_one() {
    const auto told = co_await service_.draining().wait();
    if (!told || joined_) co_return;
    const auto slept = co_await sleep_until(
        std::min(*service_.drain_deadline(), loop_.now() + first_request_within));
    if (!slept || joined_) co_return;
    session_.begin_shutdown(service_.drain_policy());
    join_service();
}

} // namespace rpc
