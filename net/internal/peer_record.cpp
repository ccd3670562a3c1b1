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
    [[nodiscard]] sockaddr* name() noexcept { return reinterpret_cast<sockaddr*>(this + 1); }
};

void peer_record::set(const address& known) noexcept {
    forget();
    if (known.family() != AF_UNSPEC)
        std::memcpy(room_for(known.size()), known.data(), known.size());
}

sockaddr* peer_record::room_for(socklen_t bytes) noexcept {
    forget();
    const block head{bytes};
    kept_ = ::new (frame_pool::allocate(head.whole())) block(head);
    kept_->name()->sa_family = AF_UNSPEC;
    return kept_->name();
}

address peer_record::get() const noexcept {
    if (!kept_ || kept_->name()->sa_family == AF_UNSPEC) return {};
    return {kept_->name(), kept_->bytes};
}

void peer_record::forget() noexcept {
    if (block* gone = std::exchange(kept_, nullptr)) frame_pool::release(gone, gone->whole());
}

} // namespace ringdown
