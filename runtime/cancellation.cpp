#include <ringdown/runtime/cancellation.hpp>

#include <utility>

namespace ringdown {

cancellation::cancellation(cancellation* parent) noexcept : loop_(parent->loop_) {
    parent->children_.push_back(*this);
    requested_ = parent->requested_;
}

bool cancellation::governs(const cancellation* node) noexcept {
    bool found = node == this;
    if (node)
        children_.for_each([&](cancellation& child) { found = found || child.governs(node); });
    return found;
}

void cancellation::request(cancel_reason reason) noexcept {
    if (requested_) return;
    requested_ = true;
    // One cancelled wait may wake others, so nothing is held while each is asked.
    strands_.for_each([reason](strand& each) {
        each.canceled_ = true;
        if (waiting* asked = std::exchange(each.current_, nullptr)) asked->cancel(reason);
    });
    children_.for_each([reason](cancellation& child) { child.request(reason); });
}

} // namespace ringdown
