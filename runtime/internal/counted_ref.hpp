#pragma once

#include <utility>

namespace ringdown {

/// A counted reference to something that counts its references: by `retain` and `release`.
template <class T>
class counted_ref {
public:
    counted_ref() noexcept = default;
    explicit counted_ref(T& referred) noexcept : referred_(&referred) { referred_->retain(); }
    counted_ref(const counted_ref& other) noexcept : referred_(other.referred_) {
        if (referred_) referred_->retain();
    }
    counted_ref(counted_ref&& other) noexcept
        : referred_(std::exchange(other.referred_, nullptr)) {}
    counted_ref& operator=(counted_ref other) noexcept {
        std::swap(referred_, other.referred_);
        return *this;
    }
    ~counted_ref() {
        if (referred_) referred_->release();
    }

    explicit operator bool() const noexcept { return referred_ != nullptr; }
    T& operator*() const noexcept { return *referred_; }
    T* operator->() const noexcept { return referred_; }

private:
    T* referred_ = nullptr;
};

} // namespace ringdown
