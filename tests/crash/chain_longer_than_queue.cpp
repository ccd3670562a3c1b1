#include "crash.hpp"

using namespace ringdown;

int main() {
    must_stop_with("a chain is longer than the submission queue; ask for more entries in "
                   "ring_options");
    ring queue(kernel(), {.entries = 4, .completion_entries = 8, .disabled = {}});
    queue.enable();
    queue.reserve(4);
    queue.reserve(5);
}
