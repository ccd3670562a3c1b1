#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

namespace ringdown {

namespace detail {

template <class T>
concept has_await_operator = requires(T&& it) { std::forward<T>(it).operator co_await(); };

template <class T>
struct awaiter_of {
    using type = T;
};
template <has_await_operator T>
struct awaiter_of<T> {
    using type = decltype(std::declval<T>().operator co_await());
};

} // namespace detail

/// What can be awaited and moved until then: a task, or an operation as a verb makes it.
///
/// Combinators (`with_deadline`, `when_all`, `when_any`) move it into their own frame. So it is
/// given as it was made, `with_deadline(when, peer.recv(buffer))`, or by `std::move`; what it
/// names, such as the buffer, stays as long as if it were awaited itself.
template <class T>
concept awaitable = std::move_constructible<T> &&
                    requires(typename detail::awaiter_of<T>::type& it) { it.await_resume(); };

/// What awaiting a `T` answers, by value.
template <awaitable T>
using awaited =
    std::decay_t<decltype(std::declval<typename detail::awaiter_of<T>::type&>().await_resume())>;

} // namespace ringdown
