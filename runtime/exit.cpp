#include <ringdown/runtime/exit.hpp>

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

} // namespace ringdown
