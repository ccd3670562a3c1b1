#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

namespace ringdown {

class accept_group;
class listener;
class loop;

/// A listener, as the others that accept from the same socket see it.
class accept_member {
public:
    static constexpr std::ptrdiff_t unlimited = std::numeric_limits<std::ptrdiff_t>::max();

    accept_member(loop& accepting, listener& listening) noexcept
        : loop_(accepting), listener_(&listening) {}

private:
    friend class accept_group;

    loop& loop_;
    listener* listener_; // null when it has left; only its loop's thread looks
    // The rest belongs to the group's lock.
    bool stays_ = true;   // it is one of those that a drain can leave newcomers to
    bool active_ = false; // it accepts
    bool paused_ = false; // it cannot at the moment
    bool called_ = false; // a call is on its way to its loop
    bool look_ = false;   // it has to look whether somebody waits in the kernel's queue
    std::ptrdiff_t room_ = 0;
    std::uint64_t placed_ = 0; // connections that have become its own while others accepted too
    std::vector<int> brought_; // descriptors that others accepted for it
};

/// Those that accept from one listening socket in this process, and which of them gets what comes.
///
/// The kernel wakes one of them for each connection, whichever has waited longest, and when many
/// come at once, whoever looks first takes all of them. So each connection is placed as it is
/// accepted: its accepter keeps it unless that one is ahead of another by two, and brings it to the
/// one with the fewest otherwise. A loop is called once for all that is brought to it until it
/// looks. At every moment a descriptor belongs to one of them. Threads: any.
class accept_group {
public:
    using member = std::shared_ptr<accept_member>;

    /// Comes with room for so many connections.
    void join(const member& joining, std::ptrdiff_t room);
    /// Leaves if others stay. Of those that leave at the same time, one is the last.
    bool leave_to_others(accept_member& leaving);
    /// Leaves altogether. What was brought to it goes to others; answers it where there are none.
    [[nodiscard]] std::vector<int> leave(const member& leaving);

    /// From now on connections can be placed with it, until it rests, pauses or has no room.
    void activate(accept_member& accepting);
    void pause(accept_member& accepting);
    /// It accepts no more. What was brought to it stays.
    void rest(accept_member& resting);
    /// What was brought to a member that rests goes to others, if there are any.
    void pass_on(accept_member& resting);
    /// True when one at most accepts.
    [[nodiscard]] bool alone() const noexcept;

    /// Takes up to `wanted` of the member's room; answers how much there was.
    [[nodiscard]] std::size_t reserve(accept_member& accepting, std::size_t wanted);
    /// Gives room back, or takes some away.
    void add_room(accept_member& accepting, std::ptrdiff_t more);
    void lift_limit(accept_member& accepting);
    [[nodiscard]] bool has_room(accept_member& accepting);

    /// Whose is a connection that `accepter` has accepted? True when it keeps it; else another one
    /// has got the descriptor.
    [[nodiscard]] bool keeps(accept_member& accepter, int fd);
    /// A connection that was accepted for a member that has left: false when there is nobody else.
    [[nodiscard]] bool bring_to_anybody(int fd);

    struct errand {
        std::vector<int> brought;
        bool look = false;
    };
    /// What the member's loop was called for.
    [[nodiscard]] errand answer_call(accept_member& called);
    /// The others look at the kernel's queue until they find nobody: connections that `leaving` was
    /// woken for would wake nobody else.
    void let_others_look(const accept_member& leaving);

private:
    [[nodiscard]] const member* best_other(const accept_member* accepter) const noexcept;
    [[nodiscard]] bool place_elsewhere(const accept_member* accepter, int fd);
    void level(accept_member& returning) noexcept;
    void bring(const member& to, int fd);
    static void call(const member& called);

    mutable std::mutex mutex_;
    std::vector<member> members_;
    std::atomic<int> active_{0}; // so that one alone needs no lock
};

} // namespace ringdown
