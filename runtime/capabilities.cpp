#include <ringdown/runtime/capabilities.hpp>

#include <array>
#include <cstdlib>
#include <stdexcept>

#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {
namespace {

struct named {
    capability which;
    std::string_view name;
};

constexpr std::array<named, capability_count> names{{
    {capability::single_issuer, "single_issuer"},
    {capability::defer_taskrun, "defer_taskrun"},
    {capability::coop_taskrun, "coop_taskrun"},
    {capability::no_sqarray, "no_sqarray"},
    {capability::registered_ring, "registered_ring"},
    {capability::skip_success, "skip_success"},
    {capability::multishot_accept, "multishot_accept"},
    {capability::multishot_recv, "multishot_recv"},
    {capability::buffer_ring, "buffer_ring"},
    {capability::zero_copy_send, "zero_copy_send"},
    {capability::socket_queue_commands, "socket_queue_commands"},
    {capability::socket_option_commands, "socket_option_commands"},
}};

constexpr auto in_order = [] {
    std::array<capability, capability_count> order{};
    for (unsigned i = 0; i < capability_count; ++i)
        order[i] = names[i].which;
    return order;
}();

const named* find(std::string_view word) noexcept {
    for (const named& each : names)
        if (each.name == word) return &each;
    return nullptr;
}

std::string accepted_names() {
    std::string list;
    for (const named& each : names)
        list.append(list.empty() ? "" : ", ").append(each.name);
    return list;
}

} // namespace

std::string_view name(capability which) noexcept {
    return names[static_cast<unsigned>(which)].name;
}

std::span<const capability> all_capabilities() noexcept { return in_order; }

result<capability_set> parse_capabilities(std::string_view list, std::string& complaint) {
    capability_set set;
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        const std::string_view word = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (word.empty()) continue;
        const named* known = find(word);
        if (!known) {
            complaint = "no capability is called '" + std::string(word) +
                        "'; the names are: " + accepted_names();
            return std::unexpected(std::make_error_code(std::errc::invalid_argument));
        }
        set.add(known->which);
    }
    return set;
}

capability_set capabilities_disabled_by_environment() {
    const char* list = std::getenv("RINGDOWN_DISABLE");
    if (!list) return {};
    std::string complaint;
    const auto set = parse_capabilities(list, complaint);
    if (!set) throw std::invalid_argument("RINGDOWN_DISABLE: " + complaint);
    return *set;
}

} // namespace ringdown
