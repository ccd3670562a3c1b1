#include "sealer.hpp"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ringdown_demo {

namespace {

void wait_for_grace_period() {
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) {
        // Only kernels run with nohz_full refuse. A segment would have to hang half-way between
        // two functions of one soft interrupt for as long as this to be missed.
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

} // namespace

sealer::sealer() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!event_.is_open()) {
        throw std::system_error(errno, std::system_category(), "eventfd");
    }
    thread_ = std::thread([this] { run(); });
}

sealer::~sealer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void sealer::submit(std::size_t index) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(index);
    }
    wake_.notify_one();
}

std::vector<std::size_t> sealer::take_sealed() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(event_.get(), &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(sealed_, {});
}

void sealer::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (stopping_) {
            return;
        }
        const auto batch = std::exchange(waiting_, {});
        lock.unlock();
        wait_for_grace_period();
        lock.lock();
        sealed_.insert(sealed_.end(), batch.begin(), batch.end());
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto put = ::write(event_.get(), &one, sizeof one);
    }
}

} // namespace ringdown_demo
