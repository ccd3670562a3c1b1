#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/ring_operation.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

/// What defines a ring operation, all of it: a name, fields, how they are put into a submission
/// entry, and what a completion means.
template <class D>
concept operation_descriptor = requires(D& d, io_uring_sqe& sqe, completion what) {
    { D::name } -> std::convertible_to<const char*>;
    d.prepare(sqe);
    d.decode(what);
};

/// A descriptor may answer at once, without the ring: with a system call where the kernel has no
/// such ring operation, or would run it in a worker thread.
template <class D>
concept answers_in_place = requires(D& d, loop& loop) {
    { d.in_place(loop) } -> std::same_as<std::optional<int>>;
};

/// A ring operation as a task awaits it, on that task's loop. Lives in the awaiting coroutine's
/// frame; allocates nothing.
///
/// Cancellation: the kernel is asked to end it; a result that it had achieved is returned.
template <operation_descriptor Descriptor>
class [[nodiscard]] operation final : public ring_operation,
                                      public waiting,
                                      public awaitable_operation<operation<Descriptor>> {
public:
    explicit operation(Descriptor descriptor) noexcept
        : ring_operation(Descriptor::name), descriptor_(std::move(descriptor)) {}

    auto await_resume() { return descriptor_.decode(last_); }

private:
    friend awaitable_operation<operation>;

    bool begin() {
        if constexpr (answers_in_place<Descriptor>) {
            if (const std::optional<int> answer = descriptor_.in_place(task_loop())) {
                stay();
                last_ = {*answer, 0};
                return false;
            }
        }
        submit(task_loop(), [this](io_uring_sqe& sqe) { descriptor_.prepare(sqe); });
        return true;
    }
    void answer_canceled() noexcept { last_ = {-ECANCELED, 0}; }
    void cancel(cancel_reason) noexcept override { request_cancel(task_loop()); }

    void completed(completion what) noexcept override {
        last_ = what;
        if (!in_flight()) wake();
    }

    Descriptor descriptor_;
    completion last_;
};

} // namespace ringdown
