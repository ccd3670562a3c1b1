#include "worker.hpp"

#include <algorithm>
#include <cstdio>
#include <mutex>

#include <ringdown/shutdown/ending/close.hpp>

namespace examples {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

// A shortage is the whole process's: what one worker has just told, the others need not.
bool is_news(const worker& of, const std::string& text) {
    static std::mutex mutex;
    static const worker* teller = nullptr;
    static loop::time_point told;
    static std::string said;
    const std::lock_guard lock(mutex);
    const auto now = loop::time_point::clock::now();
    if (teller && teller != &of && text == said && now < told + 1min) return false;
    teller = &of;
    told = now;
    said = text;
    return true;
}

connection_stage stage_of(const connection& of) noexcept {
    if (of.life() == life_phase::open) return connection_stage::open;
    if (of.life() != life_phase::ending) return connection_stage::closing;
    switch (of.sending()) {
    case sending_phase::fin_sent:
        return connection_stage::fin_sent;
    case sending_phase::fin_acknowledged:
        return connection_stage::fin_acknowledged;
    case sending_phase::open:
    case sending_phase::flushing:
        break;
    }
    return connection_stage::flushing;
}

} // namespace

std::string_view name(connection_stage stage) noexcept {
    static constexpr std::array<std::string_view, 5> names{"open", "flushing", "fin_sent",
                                                           "fin_acknowledged", "closing"};
    return names[static_cast<std::size_t>(stage)];
}

void standing::add(const standing& other) noexcept {
    counters.add(other.counters);
    accepts += other.accepts;
    open += other.open;
    for (std::size_t i = 0; i < by_stage.size(); ++i)
        by_stage[i] += other.by_stage[i];
    phase = std::min(phase, other.phase);
    if (notice.empty()) notice = other.notice;
}

/// A connection that is served or ending; lives in the frame of `attend`.
class worker::present final : public list_hook<present> {
public:
    present(worker& by, connection& of) noexcept : of_(of) { by.present_.push_back(*this); }
    [[nodiscard]] connection& of() const noexcept { return *of_; }

private:
    connection_ref of_;
};

worker::worker(std::shared_ptr<listening_socket> from, const server::handler& serve,
               server_options options, bool live)
    : live_(live), serve_(serve),
      serving(on, std::move(from),
              live ? server::handler([this](stream peer) { return attend(std::move(peer)); })
                   : serve,
              with_notices(std::move(options))) {}

worker::~worker() = default;

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

task<void> worker::attend(stream peer) {
    present here(*this, peer.connection_of());
    co_await serve_(std::move(peer));
    auto ending = ended(here.of()); // in the background, perhaps
    co_await ending;
}

standing worker::stand() {
    standing now;
    now.counters = serving.counters();
    now.accepts = serving.accepts();
    now.open = serving.open();
    now.phase = serving.phase();
    now.notice = notice_;
    present_.for_each(
        [&](present& each) { ++now.by_stage[static_cast<std::size_t>(stage_of(each.of()))]; });
    return now;
}

} // namespace examples
