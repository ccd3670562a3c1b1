#include "worker.hpp"

#include <algorithm>
#include <cstdio>
#include <mutex>

namespace examples {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

// A shortage is the whole process's: what one worker has just told, the others need not.
bool is_news(const worker& noticing, const std::string& text) {
    static std::mutex mutex;
    static const worker* teller = nullptr;
    static loop::time_point told;
    static std::string said;
    const std::lock_guard lock(mutex);
    const auto now = loop::time_point::clock::now();
    if (teller && teller != &noticing && text == said && now < told + 1min) return false;
    teller = &noticing;
    told = now;
    said = text;
    return true;
}

} // namespace

void standing::add(const standing& other) noexcept {
    counters.add(other.counters);
    accepts += other.accepts;
    open += other.open;
    for (std::size_t i = 0; i < by_activity.size(); ++i)
        by_activity[i] += other.by_activity[i];
    phase = std::min(phase, other.phase);
    if (notice.empty()) notice = other.notice;
}

worker::worker(std::shared_ptr<listening_socket> listener, const server::handler& serve,
               server_options options, bool live)
    : live_(live), serving(loop, std::move(listener), serve, with_notices(std::move(options))) {}

server_options worker::with_notices(server_options options) {
    options.on_accept_paused = [this](std::error_code why) {
        tell("accepting pauses until connections end: " + why.message());
    };
    options.on_accept_failed = [this](std::error_code why) {
        accepting_failed = true;
        tell("cannot accept any more, and ends: " + why.message());
    };
    options.on_refusal_denied = [this](std::error_code why) {
        tell("the kernel permits no way to refuse newcomers; late ones are reset: " +
             why.message());
    };
    return options;
}

void worker::tell(std::string text) {
    if (live_)
        notice_ = std::move(text);
    else if (is_news(*this, text))
        std::fprintf(stderr, "%s\n", text.c_str());
}

standing worker::stand() {
    standing now;
    now.counters = serving.counters();
    now.accepts = serving.accepts();
    now.open = serving.open();
    now.by_activity = serving.summary().by_activity;
    now.phase = serving.phase();
    now.notice = notice_;
    return now;
}

} // namespace examples
