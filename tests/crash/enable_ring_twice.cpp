#include "crash.hpp"

using namespace ringdown;

int main() {
    must_stop_with("a ring is enabled once, by the thread that runs it");
    ring queue(kernel());
    queue.enable();
    queue.enable();
}
