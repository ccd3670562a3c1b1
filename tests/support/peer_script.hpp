#pragma once

#include <memory>
#include <thread>
#include <utility>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown::testing {

/// What a peer does while the loop runs: a function on a thread of its own.
///
/// Lifetime: what the script refers to outlives it. The destructor waits for the script, which
/// comes to its end because no peer waits for more than ten seconds.
class peer_script {
public:
    template <class Script>
    peer_script(loop& on, Script script)
        : done_(std::make_shared<event>()),
          thread_([&on, done = done_, script = std::move(script)]() mutable {
              script();
              on.post([done] { done->set(); });
          }) {}

    /// Completes when the script has ended.
    [[nodiscard]] event::wait_operation done() noexcept { return done_->join(); }

private:
    std::shared_ptr<event> done_;
    std::jthread thread_;
};

} // namespace ringdown::testing
