#include <ringdown/net/internal/connection_follower.hpp>

#include <ringdown/net/internal/connection.hpp>

namespace ringdown {

void tell_idle(connection& connection, bool idle) noexcept {
    const connection_ref kept(connection);
    auto& followers = connection.followers();
    connection_follower* told = followers.empty() ? nullptr : &followers.front();
    while (told) {
        connection_follower* next = followers.next(*told);
        told->mark_idle(idle);
        told = connection.life() == life_phase::open ? next : nullptr; // else it was ended by that
    }
}

void tell_requests(connection& connection, bool in_progress) noexcept {
    connection.followers().for_each(
        [&](connection_follower& each) { each.note_requests(in_progress); });
}

bool tell_idle_time(connection& connection, std::chrono::nanoseconds time) {
    bool kept = false;
    connection.followers().for_each(
        [&](connection_follower& each) { kept = each.set_idle(time) || kept; });
    return kept;
}

} // namespace ringdown
