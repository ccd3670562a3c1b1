#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include <ringdown/runtime/internal/ring_operation.hpp>

namespace ringdown {

/// How other threads reach a loop: they leave calls here and ring an eventfd that the loop polls.
class mailbox final : public ring_operation {
public:
    explicit mailbox(loop& loop);
    ~mailbox();

    void open();
    void close();

    /// From any thread.
    void post(std::move_only_function<void()> call);
    /// Destroys the calls that have not run.
    void drop() noexcept;

private:
    void completed(completion what) noexcept override;
    void run_posted();

    void listen();

    loop& on_;
    int event_ = -1;
    bool closing_ = false;
    std::mutex mutex_;
    std::vector<std::move_only_function<void()>> posted_;
    std::vector<std::move_only_function<void()>> running_;
    bool again_ = false; // to be run, behind those that are running
};

} // namespace ringdown
