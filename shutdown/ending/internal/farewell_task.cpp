#include <ringdown/shutdown/ending/internal/farewell_task.hpp>

#include <exception>
#include <utility>

#include <ringdown/runtime/noop.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

namespace ringdown {

void farewell_task::begin(connection& connection, task<void> say) {
    runs_ = true;
    connection.on().spawn(run(connection_ref(connection), *this, std::move(say)));
}

void farewell_task::cancel() noexcept {
    canceled_ = true;
    if (governing_) governing_->request(cancel_reason::deadline);
}

// The reference keeps the connection, and with it the ending and this.
task<void> farewell_task::run(connection_ref connection, farewell_task& self, task<void> say) {
    cancellation* ambient = co_await current_cancellation{};
    cancellation own(ambient);
    self.governing_ = &own;
    co_await governed_by{own};
    (void)co_await noop(); // an ending has begun in the middle of something else
    std::exception_ptr failure;
    if (!self.canceled_) {
        try {
            co_await say;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    self.governing_ = nullptr;
    self.runs_ = false;
    if (!self.canceled_) ending::of(*connection).farewell_said(failure != nullptr);
    if (failure) std::rethrow_exception(failure);
}

} // namespace ringdown
