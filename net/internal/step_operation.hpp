#pragma once

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/connection_operation.hpp>

namespace ringdown {

/// A ring operation that belongs to an object instead of a task: each completion calls a member of
/// its owner. The ending of a connection is made of these.
template <class Owner>
class step_operation final : public connection_operation {
public:
    using handler = void (Owner::*)(completion) noexcept;

    step_operation(connection& connection, const char* name, Owner& owner, handler when_settled,
                   bool ends_with_reset = false) noexcept
        : connection_operation(connection, name), owner_(owner), when_settled_(when_settled),
          ends_with_reset_(ends_with_reset) {}

    using connection_operation::launch;
    using connection_operation::launch_silently;
    [[nodiscard]] bool ends_with_reset() const noexcept override { return ends_with_reset_; }
    [[nodiscard]] at_ending when_ending() const noexcept override { return at_ending::keep; }

private:
    void settled(completion what) noexcept override { (owner_.*when_settled_)(what); }

    Owner& owner_;
    handler when_settled_;
    bool ends_with_reset_;
};

} // namespace ringdown
