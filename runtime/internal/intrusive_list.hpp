#pragma once

#include <cstddef>

namespace ringdown {

/// A place in an `intrusive_list`. Unlinks itself when destroyed.
///
/// The tag lets one object stand in several lists: it inherits one hook for each.
template <class Tag>
class list_hook {
public:
    list_hook() noexcept = default;
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;

    [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }

    void unlink() noexcept {
        if (!linked()) return;
        previous_->next_ = next_;
        next_->previous_ = previous_;
        next_ = previous_ = nullptr;
    }

protected:
    ~list_hook() { unlink(); }

private:
    template <class T, class>
    friend class intrusive_list;

    list_hook* next_ = nullptr;
    list_hook* previous_ = nullptr;
};

/// A doubly linked list of objects that it does not own; no operation allocates.
///
/// Lifetime: the list may be destroyed before its members; they are then unlinked.
template <class T, class Tag>
class intrusive_list {
    using hook = list_hook<Tag>;

public:
    intrusive_list() noexcept { reset(); }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;
    ~intrusive_list() {
        while (!empty())
            pop_front();
        end_.next_ = end_.previous_ = nullptr;
    }

    [[nodiscard]] bool empty() const noexcept { return end_.next_ == &end_; }
    [[nodiscard]] T& front() noexcept { return owner(end_.next_); }

    void push_back(T& item) noexcept {
        hook& place = item;
        place.previous_ = end_.previous_;
        place.next_ = &end_;
        end_.previous_->next_ = &place;
        end_.previous_ = &place;
    }

    T& pop_front() noexcept {
        T& item = front();
        static_cast<hook&>(item).unlink();
        return item;
    }

    /// Moves everything out of `other` to the end of this list.
    void take(intrusive_list& other) noexcept {
        if (other.empty()) return;
        other.end_.next_->previous_ = end_.previous_;
        end_.previous_->next_ = other.end_.next_;
        other.end_.previous_->next_ = &end_;
        end_.previous_ = other.end_.previous_;
        other.reset();
    }

    /// Calls `visit` for each member; `visit` may unlink the member that it is given, no other.
    template <class Visit>
    void for_each(Visit visit) {
        for (hook* at = end_.next_; at != &end_;) {
            hook* next = at->next_;
            visit(owner(at));
            at = next;
        }
    }

    /// The member behind `item`, or null at the end.
    T* next(T& item) noexcept {
        hook* next = static_cast<hook&>(item).next_;
        return next == &end_ ? nullptr : &owner(next);
    }

    [[nodiscard]] std::size_t count() const noexcept {
        std::size_t n = 0;
        for (const hook* at = end_.next_; at != &end_; at = at->next_)
            ++n;
        return n;
    }

private:
    struct sentinel final : hook {};

    static T& owner(hook* place) noexcept { return static_cast<T&>(*place); }
    void reset() noexcept { end_.next_ = end_.previous_ = &end_; }

    sentinel end_;
};

} // namespace ringdown
