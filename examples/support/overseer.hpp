#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <thread>

#include <ringdown/runtime/event.hpp>
#include <ringdown/shutdown/server/supervisor.hpp>

#include "live_view.hpp"
#include "metrics_endpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "worker.hpp"

namespace examples {

/// Looks at the servers from a thread and a loop of its own, so that who asks holds up nobody who
/// is served: answers scrapes, draws the live view, tells the service manager how a drain goes.
///
/// Its own connections are in none of the servers' counts.
class overseer {
public:
    /// Errors: as `listening_socket` and `terminal`.
    overseer(std::list<worker>& watched, const serving_options& options,
             ringdown::supervisor& manager);
    overseer(const overseer&) = delete;
    overseer& operator=(const overseer&) = delete;
    ~overseer();

    /// Whether there is anything for one to do.
    static bool wanted(const serving_options& options, const ringdown::supervisor& manager);

    [[nodiscard]] const metrics_endpoint* metrics() const noexcept {
        return metrics_ ? &*metrics_ : nullptr;
    }

    void start();
    /// A drain has begun that ends by then. From any thread.
    void drain_begins(ringdown::loop::time_point deadline);
    /// A worker's run is over. From the thread that ran it.
    void worker_ended(worker& which);
    /// Ends it; after the last worker has.
    void finish();

    [[nodiscard]] std::size_t operations_left() const { return loop_.operations_in_flight(); }

private:
    struct watched {
        worker* subject;
        standing latest;
        std::uint64_t round = 0; // that it has answered
        bool ended = false;
    };

    ringdown::task<void> run();
    ringdown::task<void> draw();
    ringdown::task<void> keep_manager_informed();
    ringdown::task<standing> look();
    ringdown::task<ringdown::result<void>> answers(std::uint64_t round);
    ringdown::task<std::string> page();
    void ask(watched& one, std::uint64_t round);

    ringdown::loop loop_;
    std::list<watched> watched_;
    ringdown::supervisor& manager_;
    std::optional<metrics_endpoint> metrics_;
    std::optional<terminal> screen_;
    std::optional<live_view> view_;
    std::optional<ringdown::loop::time_point> drain_deadline_;
    std::uint64_t rounds_ = 0;
    ringdown::event answered_;
    ringdown::event finished_;
    std::jthread thread_;
};

} // namespace examples
