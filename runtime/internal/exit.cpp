#include <ringdown/runtime/internal/exit.hpp>

#include <mutex>
#include <vector>

namespace ringdown {
namespace {

constinit thread_local bool ending = false;

// A thread's own variables are destroyed before any that has static storage.
struct thread_mark {
    ~thread_mark() { ending = true; }
};

} // namespace

void note_thread() noexcept {
    static thread_local const thread_mark here{};
    (void)here;
}

bool exiting() noexcept { return ending; }

void leave_behind(const void* kept) noexcept {
    static std::mutex& adding = *new std::mutex;
    static std::vector<const void*>& all = *new std::vector<const void*>;
    const std::lock_guard alone(adding);
    all.push_back(kept);
}

} // namespace ringdown
