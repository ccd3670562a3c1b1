#pragma once

#include <cerrno>
#include <optional>
#include <utility>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>
#include <ringdown/runtime/operation.hpp>

namespace ringdown {

/// Any operation descriptor, awaited on a connection: joined before the descriptor is closed.
///
/// Errors: `errc::ending` when the connection is being ended.
template <operation_descriptor Descriptor>
class [[nodiscard]] tracked_operation final
    : public connection_operation,
      public waiting,
      public awaitable_operation<tracked_operation<Descriptor>> {
public:
    tracked_operation(connection& connection, Descriptor descriptor) noexcept
        : connection_operation(connection, Descriptor::name), descriptor_(std::move(descriptor)) {}

    auto await_resume() -> decltype(std::declval<Descriptor&>().decode(completion{})) {
        if (last_.result == -ESHUTDOWN) return std::unexpected(make_error_code(errc::ending));
        if constexpr (requires { descriptor_.taken_error(); })
            if (const int error = descriptor_.taken_error()) target().note_error(-error);
        return descriptor_.decode(last_);
    }

private:
    friend awaitable_operation<tracked_operation>;

    bool begin() {
        if (target().life() != life_phase::open) return answer_at_once(-ESHUTDOWN);
        if constexpr (answers_in_place<Descriptor>) {
            if (const std::optional<int> answer = descriptor_.in_place(ring_loop()))
                return answer_at_once(*answer);
        }
        target().note_in_use();
        launch([this](io_uring_sqe& sqe) { descriptor_.prepare(sqe); });
        return true;
    }
    void answer_canceled() noexcept { last_ = {-ECANCELED, 0}; }
    bool answer_at_once(int result) noexcept {
        stay();
        last_ = {result, 0};
        return false;
    }
    void cancel(cancel_reason reason) noexcept override {
        target().note_canceled(reason);
        request_cancel();
    }
    void settled(completion what) noexcept override {
        last_ = what;
        if (!in_flight()) wake();
    }

    Descriptor descriptor_;
    completion last_;
};

} // namespace ringdown
