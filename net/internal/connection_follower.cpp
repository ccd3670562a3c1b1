#include <ringdown/net/internal/connection_follower.hpp>

#include <ringdown/net/internal/connection.hpp>

namespace ringdown {

void tell_idle(connection& connection, bool idle) noexcept {
    const connection_ref kept(connection);
    for (auto* told = connection.last_follower(); told;) {
        connection_follower* next = told->before();
        told->mark_idle(idle);
        told = connection.life() == life_phase::open ? next : nullptr; // else it was ended by that
    }
}

void tell_requests(connection& connection, bool in_progress) noexcept {
    for (auto* told = connection.last_follower(); told; told = told->before())
        told->note_requests(in_progress);
}

bool tell_idle_time(connection& connection, std::chrono::nanoseconds time) {
    bool kept = false;
    for (auto* told = connection.last_follower(); told; told = told->before())
        kept = told->set_idle(time) || kept;
    return kept;
}

} // namespace ringdown
