#include <ringdown/net/internal/peer_record.hpp>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

// The name follows behind it.
struct peer_record::block {
    socklen_t bytes;

    [[nodiscard]] std::size_t whole() const noexcept { return sizeof(block) + bytes; }
    [[nodiscard]] void* name() noexcept { return this + 1; }
};

void peer_record::set(const address& known) noexcept {
    forget();
    if (known.family() == AF_UNSPEC) return;
    const block head{known.size()};
    kept_ = ::new (frame_pool::allocate(head.whole())) block(head);
    std::memcpy(kept_->name(), known.data(), kept_->bytes);
}

address peer_record::get() const noexcept {
    if (!kept_) return {};
    return {static_cast<const sockaddr*>(kept_->name()), kept_->bytes};
}

void peer_record::forget() noexcept {
    if (block* gone = std::exchange(kept_, nullptr)) frame_pool::release(gone, gone->whole());
}

} // namespace ringdown
