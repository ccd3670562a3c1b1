#pragma once

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/step_operation.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// Notes that the peer was lost, while no receive would tell: its FIN has been received.
class loss_watch final : public pooled {
public:
    explicit loss_watch(connection& connection) noexcept;

    /// Goes on watching, if it has stopped.
    void step();
    void stop() noexcept { stopped_ = true; }

private:
    void settled(completion what) noexcept;

    connection& connection_;
    step_operation<loss_watch> poll_;
    bool stopped_ = false;
};

} // namespace ringdown
