#include "metrics_endpoint.hpp"

#include <array>
#include <ctime>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/when.hpp>
#include <ringdown/shutdown/ending/close.hpp>

#include "http_request.hpp"

namespace examples {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t request_bytes_max = 8 * 1024;
constexpr auto request_time = 2s;
constexpr std::size_t connections_max = 64;

constexpr ending_policy answered{
    .within = 5s, .deadline = {}, .idle = 2s, .discard_bytes_max = 1 << 20};

server_options limits() {
    server_options options;
    options.idle = 5s; // of a client that does not read its answer
    options.when_idle.requested = plans::abort;
    return options;
}

std::string date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 64> text;
    return {text.data(),
            std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string response(const std::string& status, const std::string& type, const std::string& body,
                     const std::string& more = {}) {
    return "HTTP/1.1 " + status + "\r\nDate: " + date() + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
           more + "\r\n" + body;
}

std::string refusal(const std::string& status, const std::string& why,
                    const std::string& more = {}) {
    return response(status, "text/plain; charset=utf-8", why + "\n", more);
}

// Ends with what cannot be a request any more as well; `parse_request` says why.
task<result<void>> read_head(stream& peer, std::string& head) {
    std::array<std::byte, 1024> buffer;
    while (head_bytes(head) == 0 && may_be_http(head) && head.size() < request_bytes_max) {
        const auto got = co_await peer.recv(buffer);
        if (!got) co_return std::unexpected(got.error());
        head.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
    co_return result<void>{};
}

} // namespace

metrics_endpoint::metrics_endpoint(loop& loop, const address& where, page_maker page)
    : loop_(loop), page_(std::move(page)),
      serving_(
          loop, std::make_shared<listening_socket>(where),
          [this](stream peer) { return serve(std::move(peer)); }, limits()) {}

task<void> metrics_endpoint::run() { co_await serving_.run(); }

task<void> metrics_endpoint::drain() { co_await serving_.drain({.within = 500ms, .deadline = {}}); }

task<void> metrics_endpoint::serve(stream peer) {
    if (serving_.open() > connections_max) {
        co_await abort_close(peer);
        co_return;
    }
    const std::string answer = co_await answer_to(peer);
    if (answer.empty()) {
        // Nothing can be lost, so its FIN is not waited for.
        co_await close(peer, lingering::wait(100ms));
        co_return;
    }
    const auto sent = co_await peer.send_last(bytes_of(answer));
    if (sent)
        co_await graceful_close(peer, answered);
    else
        co_await abort_close(peer);
}

// Empty for who asks nothing: gone, silent, or still silent when the program ends.
task<std::string> metrics_endpoint::answer_to(stream& peer) {
    std::string head;
    auto reading = with_deadline(loop_.now() + request_time, read_head(peer, head));
    auto first = co_await when_any(std::move(reading), serving_.draining().wait());
    const auto read = std::get<0>(first.values).value_or(std::unexpected(canceled()));
    if (!read && head.empty()) co_return std::string();
    if (!read && read.error() == errc::deadline_passed)
        co_return refusal("408 Request Timeout", "the request did not come within 2 seconds");
    if (!read && read.error() == errc::end_of_stream)
        co_return refusal("400 Bad Request", "the request ends in the middle");
    if (!read) co_return std::string();

    const std::size_t bytes = head_bytes(head);
    if (bytes > request_bytes_max || (bytes == 0 && head.size() >= request_bytes_max))
        co_return refusal("400 Bad Request", "the request has more than 8 KiB");
    const auto asked =
        parse_request(std::string_view(head).substr(0, bytes > 0 ? bytes : head.size()));
    if (!asked) co_return refusal("400 Bad Request", asked.error());
    if (asked->path != "/metrics")
        co_return refusal("404 Not Found", "there is only /metrics here");
    if (asked->method != "GET" && asked->method != "HEAD")
        co_return refusal("405 Method Not Allowed", "/metrics is for GET", "Allow: GET, HEAD\r\n");
    const std::string page = co_await page_();
    std::string answer = response("200 OK", "text/plain; version=0.0.4; charset=utf-8", page);
    if (asked->method == "HEAD") answer.resize(answer.size() - page.size());
    co_return answer;
}

} // namespace examples
