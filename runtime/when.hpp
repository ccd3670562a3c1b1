#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ringdown/runtime/scope.hpp>

namespace ringdown {

namespace detail {

struct nothing {};
template <class T>
using value_or_nothing = std::conditional_t<std::is_void_v<T>, nothing, T>;

/// Runs `child` and keeps its value; the first of several to end is written to `first`.
template <class T>
task<void> keep_at(task<T> child, std::optional<value_or_nothing<T>>& value, std::size_t index,
                   std::optional<std::size_t>& first, scope* cancel_others) {
    if constexpr (std::is_void_v<T>) {
        co_await child;
        value.emplace();
    } else {
        value.emplace(co_await child);
    }
    if (!first) {
        first = index;
        if (cancel_others) cancel_others->cancel();
    }
}

template <class... T>
struct gathered {
    std::tuple<std::optional<value_or_nothing<T>>...> values;
    std::optional<std::size_t> first;
};

template <class... T>
task<void> gather(loop& loop, gathered<T...>& into, bool first_ends_all, task<T>... children) {
    std::tuple<task<T>...> kept(std::move(children)...);
    auto body = [&](scope& inside) -> task<void> {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (inside.spawn(keep_at<T>(std::move(std::get<I>(kept)), std::get<I>(into.values), I,
                                     into.first, first_ends_all ? &inside : nullptr)),
             ...);
        }(std::index_sequence_for<T...>{});
        co_return;
    };
    co_await with_scope(loop, std::move(body));
}

} // namespace detail

/// Runs tasks side by side and answers a tuple of their values (`detail::nothing` for void).
///
/// Errors: the first exception cancels the others and is thrown when all have ended.
/// Cancellation: reaches each.
template <class... T>
task<std::tuple<detail::value_or_nothing<T>...>> when_all(loop& loop, task<T>... children) {
    detail::gathered<T...> into;
    co_await detail::gather(loop, into, false, std::move(children)...);
    co_return std::apply(
        [](auto&... value) {
            return std::tuple<detail::value_or_nothing<T>...>(std::move(*value)...);
        },
        into.values);
}

/// What `when_any` answers: which task ended first, and the value of each, since one that was
/// cancelled may have achieved something all the same.
template <class... T>
struct any_of {
    std::size_t first;
    std::tuple<std::optional<detail::value_or_nothing<T>>...> values;
};

/// Runs tasks side by side until the first has ended, cancels the others and joins them.
///
/// Errors: as `when_all`. Cancellation: reaches each.
template <class... T>
task<any_of<T...>> when_any(loop& loop, task<T>... children) {
    detail::gathered<T...> into;
    co_await detail::gather(loop, into, true, std::move(children)...);
    co_return any_of<T...>{*into.first, std::move(into.values)};
}

} // namespace ringdown
