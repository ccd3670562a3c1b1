#include "serve.hpp"

#include <map>
#include <mutex>

#include "../support/serve.hpp"
#include "conversation.hpp"

namespace rpc {
namespace {

using namespace ringdown;

// One for each loop, made when it is first asked for there.
class services {
public:
    explicit services(const service_options& options) : options_(options) {}

    service& of(loop& loop) {
        const std::lock_guard lock(mutex_);
        return by_loop_.try_emplace(&loop, loop, options_).first->second;
    }
    void add_to(nlohmann::ordered_json& totals) {
        const std::lock_guard lock(mutex_);
        for (const auto& [loop, each] : by_loop_)
            each.add_to(totals);
    }

private:
    service_options options_;
    std::mutex mutex_;
    std::map<loop*, service> by_loop_;
};

task<void> attend(service& serving, stream peer) {
    conversation talk(serving, std::move(peer));
    co_await talk.run();
}

} // namespace

int serve(const examples::serving_options& options, const service_options& conversations) {
    services all(conversations);
    examples::serving_extras extras;
    extras.on_drain = [&](loop& loop, loop::time_point deadline) {
        all.of(loop).begin_drain(deadline);
    };
    extras.add_totals = [&](nlohmann::ordered_json& totals) { all.add_to(totals); };
    const auto handler = [&all](stream peer) {
        service& here = all.of(peer.on());
        return attend(here, std::move(peer));
    };
    return examples::serve(options, handler, extras);
}

} // namespace rpc
