#pragma once

#include "sockets.hpp"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace ringdown_demo {

/// Waits, for sockets whose arrivals were stopped, until nothing more can have arrived.
///
/// How much a peer's kernel acknowledged before the peer resets cannot be read next to the reset:
/// data that arrives between SIOCINQ and close(2) is acknowledged and never counted (on 6.18, with
/// 5 µs between the two, 51 of 3,000 resets under full load missed up to 24 KB).
/// `connect(AF_UNSPEC)` is no way out: it throws the queue away and sets
/// `tcpi_bytes_received` to 0. What does work is a socket filter that drops everything first:
/// it is consulted before TCP sees a segment, so what it drops is never acknowledged. That leaves
/// segments that had passed the filter on another CPU and were not queued yet. They are inside an
/// RCU read section, and `membarrier(GLOBAL)` returns after all of these have ended. The count
/// taken after that is exact, and needs no slack. It costs some 10 ms per batch, hence the thread.
class sealer {
public:
    sealer();
    ~sealer();
    sealer(const sealer&) = delete;
    sealer& operator=(const sealer&) = delete;

    /// Readable when `take_sealed` has something to give.
    [[nodiscard]] int event() const { return event_.get(); }
    void submit(std::size_t index);
    [[nodiscard]] std::vector<std::size_t> take_sealed();

private:
    void run();

    descriptor event_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::size_t> waiting_; ///< under `mutex_`
    std::vector<std::size_t> sealed_;  ///< under `mutex_`
    bool stopping_ = false;            ///< under `mutex_`
    std::thread thread_;
};

} // namespace ringdown_demo
