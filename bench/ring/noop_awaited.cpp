#include <chrono>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/scope.hpp>

#include "noop.hpp"

namespace bench {
namespace {

using namespace ringdown;
using duration = std::chrono::duration<double, std::nano>;

task<void> await_noops(loop& on, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        co_await noop(on);
}

task<duration> await_in_tasks(loop& on, std::size_t depth, std::size_t count) {
    const auto begin = std::chrono::steady_clock::now();
    co_await with_scope(on, [&](scope& inside) -> task<void> {
        for (std::size_t i = 0; i < depth; ++i)
            inside.spawn(await_noops(on, count / depth));
        co_return;
    });
    co_return std::chrono::steady_clock::now() - begin;
}

} // namespace

double awaited_noop(std::size_t depth, std::size_t count) {
    loop on;
    return on.run(await_in_tasks(on, depth, count)).count() /
           static_cast<double>(count / depth * depth);
}

} // namespace bench
