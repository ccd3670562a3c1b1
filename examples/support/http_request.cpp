#include "http_request.hpp"

#include <algorithm>

namespace examples {
namespace {

bool is_token(std::string_view text) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               marks.find(c) != std::string_view::npos;
    });
}

// Takes the first line off, without its end.
std::string_view next_line(std::string_view& text) noexcept {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

bool is_host(std::string_view name) noexcept {
    return std::ranges::equal(name, std::string_view("host"),
                              [](char a, char b) { return (a | 0x20) == b; });
}

// From `/path?query` or `http://host/path?query`; empty if it is neither.
std::string_view path_of(std::string_view target) noexcept {
    if (target.starts_with("http://")) {
        target.remove_prefix(sizeof "http://" - 1);
        const auto slash = target.find('/');
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    if (!target.starts_with('/')) return {};
    return target.substr(0, target.find('?'));
}

} // namespace

bool may_be_http(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool ends_line = byte == '\r' && (i + 1 == text.size() || text[i + 1] == '\n');
        if (byte == 0x7f || (byte < 0x20 && byte != '\n' && byte != '\t' && !ends_line))
            return false;
    }
    return true;
}

std::size_t head_bytes(std::string_view text) noexcept {
    const std::size_t all = text.size();
    bool begun = false; // empty lines before the first one do not count
    while (text.find('\n') != std::string_view::npos) {
        if (!next_line(text).empty())
            begun = true;
        else if (begun)
            return all - text.size();
    }
    return 0;
}

std::expected<http_request, std::string> parse_request(std::string_view head) {
    if (!may_be_http(head)) return std::unexpected("the request has control characters");
    std::string_view line;
    while (line.empty() && !head.empty())
        line = next_line(head);

    const auto first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return std::unexpected("the first line is not METHOD TARGET HTTP/1.1");
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(method)) return std::unexpected("the method is not a word");
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return std::unexpected("the version is neither HTTP/1.1 nor HTTP/1.0");
    const std::string_view path = path_of(target);
    if (path.empty() || target.find(' ') != std::string_view::npos)
        return std::unexpected("the target is neither a path nor an http address");

    std::size_t hosts = 0;
    for (line = next_line(head); !line.empty(); line = next_line(head)) {
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
            return std::unexpected("a header is not NAME: VALUE");
        if (is_host(line.substr(0, colon))) ++hosts;
    }
    if (hosts > 1 || (hosts == 0 && version == "HTTP/1.1"))
        return std::unexpected("HTTP/1.1 wants one Host header");
    return http_request{std::string(method), std::string(path)};
}

} // namespace examples
