#pragma once

#include <bitset>
#include <span>
#include <string>
#include <string_view>

#include <ringdown/runtime/error.hpp>

namespace ringdown {

class system_calls;

/// What a kernel may offer to a ring; everything here has a fallback.
enum class capability : unsigned {
    single_issuer,          ///< IORING_SETUP_SINGLE_ISSUER, Linux 6.0
    defer_taskrun,          ///< IORING_SETUP_DEFER_TASKRUN, Linux 6.1
    coop_taskrun,           ///< IORING_SETUP_COOP_TASKRUN, Linux 5.19
    no_sqarray,             ///< IORING_SETUP_NO_SQARRAY, Linux 6.6
    registered_ring,        ///< IORING_REGISTER_RING_FDS, Linux 5.18
    skip_success,           ///< IOSQE_CQE_SKIP_SUCCESS, Linux 5.17
    multishot_accept,       ///< Linux 5.19
    multishot_recv,         ///< Linux 6.0
    buffer_ring,            ///< IORING_REGISTER_PBUF_RING, Linux 5.19
    zero_copy_send,         ///< IORING_OP_SEND_ZC, Linux 6.0
    socket_queue_commands,  ///< SIOCINQ and SIOCOUTQ as ring commands, Linux 6.6
    socket_option_commands, ///< getsockopt and setsockopt as ring commands, Linux 6.7
};

inline constexpr unsigned capability_count = 12;

/// The name by which a capability is reported, and masked in `RINGDOWN_DISABLE`.
std::string_view name(capability which) noexcept;

/// Every capability, in the order of the enumeration.
std::span<const capability> all_capabilities() noexcept;

/// A set of capabilities.
class capability_set {
public:
    [[nodiscard]] bool has(capability which) const noexcept { return bits_[index(which)]; }
    capability_set& add(capability which) noexcept { return bits_.set(index(which)), *this; }
    capability_set& remove(capability which) noexcept { return bits_.reset(index(which)), *this; }
    capability_set& remove(const capability_set& others) noexcept {
        bits_ &= ~others.bits_;
        return *this;
    }
    capability_set& add(const capability_set& others) noexcept {
        bits_ |= others.bits_;
        return *this;
    }
    bool operator==(const capability_set&) const noexcept = default;

private:
    static constexpr unsigned index(capability which) noexcept {
        return static_cast<unsigned>(which);
    }
    std::bitset<capability_count> bits_;
};

/// Reads a list such as `multishot_recv,buffer_ring`; an unknown name is an error whose text in
/// `complaint` names it and what would be accepted.
result<capability_set> parse_capabilities(std::string_view names, std::string& complaint);

/// The capabilities that the environment variable `RINGDOWN_DISABLE` masks.
///
/// Throws `std::invalid_argument` with one clear line when a name in it is unknown.
capability_set capabilities_disabled_by_environment();

/// What the kernel behind `calls` offers, found out by trying with a short-lived ring.
///
/// Throws `std::system_error` when the kernel refuses any ring.
capability_set probe_capabilities(system_calls& calls);

/// Whether the kernel completes IORING_OP_SHUTDOWN at submission instead of handing it to a
/// kernel worker. Known kernels (6.1 to 7.2) never do.
///
/// Runs in a short-lived thread of its own, because the kernel keeps a worker that it started
/// for as long as the thread lives that caused it. Only for diagnosis and `fin_method::probe`.
bool probe_shutdown_in_place(system_calls& calls);

} // namespace ringdown
