#pragma once

#include <functional>
#include <string>

#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/server/server.hpp>

namespace examples {

/// Answers `GET /metrics` over HTTP/1.1 with the text that `page` makes: one request to a
/// connection, which is then ended gracefully, so that the answer arrives whole.
///
/// Everything is bounded: a request has 8 KiB and two seconds, then 400 or 408; an answer five
/// seconds without progress; there are 64 connections at a time.
class metrics_endpoint {
public:
    using page_maker = std::function<ringdown::task<std::string>()>;

    /// Errors: as `listening_socket`.
    metrics_endpoint(ringdown::loop& loop, const ringdown::address& where, page_maker page);

    [[nodiscard]] const ringdown::address& local() const noexcept { return serving_.local(); }

    ringdown::task<void> run();
    /// Ends `run`; who has asked is answered first.
    ringdown::task<void> drain();

private:
    ringdown::task<void> serve(ringdown::stream peer);
    ringdown::task<std::string> answer_to(ringdown::stream& peer);

    ringdown::loop& loop_;
    page_maker page_;
    ringdown::server serving_;
};

} // namespace examples
