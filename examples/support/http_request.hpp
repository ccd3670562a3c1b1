#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace examples {

/// What the first lines of an HTTP/1 request ask for.
struct http_request {
    std::string method;
    std::string path; ///< Without the query.
};

/// Whether what has come of a request can still become one: no control characters but
/// those of line ends.
bool may_be_http(std::string_view text) noexcept;

/// How many bytes the head of a request has, its empty line included; 0 while it is incomplete.
std::size_t head_bytes(std::string_view text) noexcept;

/// Reads a complete head. Errors: one line that says what is wrong with it.
///
/// Source: RFC 9112, sections 2 to 5; lines may end in LF alone.
std::expected<http_request, std::string> parse_request(std::string_view head);

} // namespace examples
