#include <ringdown/net/address.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace ringdown {
namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::size_t unix_offset = offsetof(sockaddr_un, sun_path);

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

std::optional<address> parse_unix(std::string_view path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const bool abstract = path.starts_with('@');
    // A path keeps its terminating zero; an abstract name begins with one instead.
    const std::size_t limit = sizeof name.sun_path - (abstract ? 0 : 1);
    if (path.size() < (abstract ? 2 : 1) || path.size() > limit || path.contains('\0')) return {};
    std::ranges::copy(path, name.sun_path);
    if (abstract) name.sun_path[0] = '\0';
    const std::size_t bytes = unix_offset + path.size() + (abstract ? 0 : 1);
    return address(reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(bytes));
}

std::optional<address> parse_ipv4(const std::string& host, std::uint16_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    if (inet_pton(AF_INET, host.c_str(), &name.sin_addr) != 1) return {};
    return address(reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

std::optional<address> parse_ipv6(std::string host, std::uint16_t port) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    if (const auto percent = host.find('%'); percent != std::string::npos) {
        const auto scope = number<std::uint32_t>(std::string_view(host).substr(percent + 1));
        if (!scope) return {};
        name.sin6_scope_id = *scope;
        host.resize(percent);
    }
    if (inet_pton(AF_INET6, host.c_str(), &name.sin6_addr) != 1) return {};
    return address(reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

std::optional<address> parse_any(std::string_view text) {
    if (text.contains('\0')) return {};
    if (text.starts_with(unix_prefix)) return parse_unix(text.substr(unix_prefix.size()));
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return {};
    const auto port = number<std::uint16_t>(text.substr(colon + 1));
    if (!port) return {};
    std::string_view host = text.substr(0, colon);
    if (!host.starts_with('[')) return parse_ipv4(std::string(host), *port);
    if (!host.ends_with(']')) return {};
    return parse_ipv6(std::string(host.substr(1, host.size() - 2)), *port);
}

bool only_port_is_wrong(std::string_view text) {
    const auto colon = text.rfind(':');
    if (text.starts_with(unix_prefix) || colon == std::string_view::npos) return false;
    return parse_any(std::string(text.substr(0, colon)) + ":0").has_value();
}

} // namespace

address::address(int family) noexcept : storage_{}, bytes_(sizeof(sa_family_t)) {
    storage_.any.sa_family = static_cast<sa_family_t>(family);
}

address::address(const sockaddr* from, socklen_t bytes) noexcept
    : storage_{}, bytes_(std::min(bytes, capacity)) {
    std::memcpy(&storage_, from, bytes_);
}

result<address> address::parse(std::string_view text, std::string* complaint) {
    if (const auto parsed = parse_any(text)) return *parsed;
    if (complaint)
        *complaint = "'" + std::string(text) + "' is no address" +
                     (only_port_is_wrong(text) ? ", its port must be 0 to 65535" : "") +
                     "; write 127.0.0.1:80, [::1]:80, unix:/path or unix:@name";
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
}

std::string address::text() const {
    char host[INET6_ADDRSTRLEN] = "";
    switch (family()) {
    case AF_INET: {
        const auto& name = reinterpret_cast<const sockaddr_in&>(storage_);
        inet_ntop(AF_INET, &name.sin_addr, host, sizeof host);
        return std::string(host) + ":" + std::to_string(port());
    }
    case AF_INET6: {
        const auto& name = reinterpret_cast<const sockaddr_in6&>(storage_);
        inet_ntop(AF_INET6, &name.sin6_addr, host, sizeof host);
        const auto scope = name.sin6_scope_id;
        return "[" + std::string(host) + (scope ? "%" + std::to_string(scope) : "") +
               "]:" + std::to_string(port());
    }
    case AF_UNIX: {
        if (bytes_ <= unix_offset) return std::string(unix_prefix); // unnamed
        const char* path = storage_.unix_name.sun_path;
        const std::size_t length = bytes_ - unix_offset;
        if (path[0] == '\0') return "unix:@" + std::string(path + 1, length - 1);
        return std::string(unix_prefix) + std::string(path, strnlen(path, length));
    }
    default:
        return "unknown";
    }
}

std::uint16_t address::port() const noexcept {
    if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
    if (family() == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
    return 0;
}

bool address::operator==(const address& other) const noexcept {
    return bytes_ == other.bytes_ && std::memcmp(&storage_, &other.storage_, bytes_) == 0;
}

} // namespace ringdown
