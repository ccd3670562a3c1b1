#include "load.hpp"

#include <random>
#include <thread>

#include <poll.h>

namespace ringdown_demo {

namespace {

// Those of weight 0 come first, one each.
std::vector<std::size_t> draw_kinds(std::size_t sessions, std::mt19937_64& dice) {
    std::vector<std::size_t> drawn;
    std::vector<unsigned> weights;
    for (std::size_t kind = 0; kind < session_kinds.size(); ++kind) {
        weights.push_back(session_kinds[kind].weight);
        if (weights.back() == 0) {
            drawn.push_back(kind);
        }
    }
    std::discrete_distribution<std::size_t> by_weight(weights.begin(), weights.end());
    while (drawn.size() < sessions) {
        drawn.push_back(by_weight(dice));
    }
    return drawn;
}

} // namespace

session_load::session_load(std::size_t sessions, clock::duration acting, const sockaddr_in& server,
                           std::uint64_t seed) {
    std::mt19937_64 dice(seed);
    source_addresses sources(seed + 1); // another network than the connections have
    const auto kinds = draw_kinds(sessions, dice);
    records_.resize(kinds.size());
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        records_[i].kind = kinds[i];
        const auto share = std::uniform_real_distribution(0.2, 1.0)(dice);
        const auto acts_at =
            clock::now() + std::chrono::duration_cast<clock::duration>(acting * share);
        clients_.push_back(
            std::make_unique<session_client>(records_[i], sources.next(), server, acts_at, dice()));
    }
}

void session_load::run_for(std::chrono::milliseconds limit) {
    std::vector<pollfd> waiting;
    for (auto& each : clients_) {
        if (each) {
            const short events = each->wants_to_write() ? POLLIN | POLLOUT : POLLIN;
            waiting.push_back({.fd = each->fd(), .events = events, .revents = 0});
        }
    }
    ::poll(waiting.data(), waiting.size(), static_cast<int>(limit.count()));
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (clients_[i]) {
            clients_[i]->step();
            if (records_[i].over) {
                clients_[i].reset();
            }
        }
    }
    // A pace that readers which are slow by their small steps depend on.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

session_counts session_load::counts() const {
    session_counts sum{.sessions = records_.size()};
    for (const auto& each : records_) {
        sum.over += each.over ? 1 : 0;
        sum.sent += each.sent;
        sum.answered += each.answered;
    }
    return sum;
}

} // namespace ringdown_demo
