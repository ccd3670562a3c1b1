#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ringdown/runtime/awaitable.hpp>
#include <ringdown/runtime/scope.hpp>

namespace ringdown {

namespace detail {

struct nothing {};
template <awaitable A>
using value_or_nothing = std::conditional_t<std::is_void_v<awaited<A>>, nothing, awaited<A>>;

/// Awaits `child` and keeps its value; the first of several to end is written to `first`.
template <awaitable A>
task<void> keep_at(A child, std::optional<value_or_nothing<A>>& value, std::size_t index,
                   std::optional<std::size_t>& first, scope* cancel_others) {
    if constexpr (std::is_void_v<awaited<A>>) {
        co_await std::move(child);
        value.emplace();
    } else {
        value.emplace(co_await std::move(child));
    }
    if (!first) {
        first = index;
        if (cancel_others) cancel_others->cancel();
    }
}

template <awaitable... A>
struct gathered {
    std::tuple<std::optional<value_or_nothing<A>>...> values;
    std::optional<std::size_t> first;
};

template <awaitable... A>
task<void> gather(gathered<A...>& into, bool first_ends_all, A... children) {
    std::tuple<A&...> each(children...);
    auto body = [&](scope& inside) -> task<void> {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (inside.spawn(keep_at<A>(std::move(std::get<I>(each)), std::get<I>(into.values), I,
                                     into.first, first_ends_all ? &inside : nullptr)),
             ...);
        }(std::index_sequence_for<A...>{});
        co_return;
    };
    co_await with_scope(std::move(body));
}

} // namespace detail

/// Awaits all, side by side, and answers a tuple of their values (`detail::nothing` for void).
///
/// Takes tasks and operations (`awaitable`).
/// Errors: the first exception cancels the others and is thrown when all have ended.
/// Cancellation: reaches each.
template <awaitable... A>
task<std::tuple<detail::value_or_nothing<A>...>> when_all(A... children) {
    detail::gathered<A...> into;
    co_await detail::gather<A...>(into, false, std::move(children)...);
    co_return std::apply(
        [](auto&... value) {
            return std::tuple<detail::value_or_nothing<A>...>(std::move(*value)...);
        },
        into.values);
}

/// What `when_any` answers: which of them ended first, and the value of each, since one that was
/// cancelled may have achieved something all the same.
template <awaitable... A>
struct any_of {
    std::size_t first;
    std::tuple<std::optional<detail::value_or_nothing<A>>...> values;
};

/// Awaits all, side by side, until the first has ended; cancels the others and joins them.
///
/// Takes tasks and operations (`awaitable`). Errors: as `when_all`. Cancellation: reaches each.
template <awaitable... A>
task<any_of<A...>> when_any(A... children) {
    detail::gathered<A...> into;
    co_await detail::gather<A...>(into, true, std::move(children)...);
    co_return any_of<A...>{*into.first, std::move(into.values)};
}

} // namespace ringdown
