#include "sim_peer.hpp"

#include <array>

#include "sim_socket.hpp"

namespace ringdown {

using namespace std::chrono_literals;

peer_script peer_script::random(std::uint64_t seed) {
    std::mt19937_64 dice(seed);
    auto below = [&](std::uint64_t limit) { return dice() % limit; };
    auto some_bytes = [&] {
        return std::array<std::uint64_t, 4>{1, 100, 5'000, 200'000}[below(4)];
    };
    auto some_time = [&] { return std::array<duration, 5>{0ns, 7us, 90us, 2ms, 300ms}[below(5)]; };

    peer_script peer;
    peer.latency = std::array<duration, 3>{1us, 20us, 3ms}[below(3)];
    peer.ack_delay = std::array<duration, 3>{0us, 0us, 40ms}[below(3)];
    peer.window = std::array<std::uint64_t, 2>{4'096, 65'536}[below(2)];
    peer.send_capacity = std::array<std::uint64_t, 2>{6'000, 65'536}[below(2)];
    peer.receive_capacity = std::array<std::uint64_t, 2>{6'000, 65'536}[below(2)];
    peer.read_bytes = std::array<std::uint64_t, 4>{0, 700, 65'536, 65'536}[below(4)];
    peer.read_every = std::array<duration, 2>{5us, 3ms}[below(2)];
    peer.we_connected = below(2) == 0;

    for (auto left = below(4); left > 0; --left) {
        peer.pause(some_time());
        if (below(3) > 0) peer.write(some_bytes());
        if (below(6) == 0) peer.await_written().read(some_bytes(), 5us);
        if (below(6) == 0) peer.read(0, 0s);
    }
    if (below(2) == 0) peer.await_fin();
    peer.pause(some_time());
    switch (below(8)) {
    case 0:
        return peer.reset();
    case 1:
        return peer.vanish();
    case 2:
        return peer.close();
    case 3:
        return peer.upload();
    case 4:
        return peer; // silent from now on
    case 5:
        return peer.finish().pause(some_time()).reset();
    default:
        return peer.finish();
    }
}

std::string peer_script::describe() const {
    static constexpr std::array names{"pause",         "write",     "upload", "await_bytes",
                                      "await_written", "await_fin", "read",   "finish",
                                      "close",         "reset",     "vanish"};
    auto time = [](duration what) { return std::to_string(what / 1us) + "us"; };
    std::string text = "latency " + time(latency) + ", ack_delay " + time(ack_delay) + ", window " +
                       std::to_string(window) + ", reads " + std::to_string(read_bytes) +
                       " every " + time(read_every) + ":";
    for (const step& each : steps) {
        text.append(" ").append(names[static_cast<unsigned>(each.what)]);
        if (each.bytes || !each.payload.empty())
            text += " " + std::to_string(each.bytes + each.payload.size());
        if (each.time.count()) text += " " + time(each.time);
    }
    return text;
}

namespace sim {

peer::peer(world& in, tcp_socket& to, peer_script script)
    : outward(in, script.latency), inward(in, script.latency), world_(in), socket_(to),
      script_(std::move(script)), window_edge_(script_.window) {}

void peer::run() {
    while (life_ == life::open && !pausing_ && step_ < script_.steps.size() &&
           perform(script_.steps[step_]))
        ++step_;
}

bool peer::perform(const peer_script::step& next) {
    using act = peer_script::act;
    switch (next.what) {
    case act::pause:
        pausing_ = true;
        world_.after(next.time, [this] { pausing_ = false, ++step_, run(); });
        return false;
    case act::await_bytes:
        return read_ >= next.bytes;
    case act::await_written:
        return unsent_.empty();
    case act::await_fin:
        return fin_arrived_ && (!script_.read_bytes || read_ == arrived_);
    case act::write:
        write_payload(next.bytes);
        write(next.payload);
        break;
    case act::upload:
        endless_ = true;
        break;
    case act::read:
        script_.read_bytes = next.bytes;
        script_.read_every = next.time;
        read_on();
        break;
    case act::finish:
        finishing_ = true;
        break;
    case act::close:
        close();
        return true;
    case act::reset:
        reset();
        return true;
    case act::vanish:
        life_ = life::gone;
        socket_.watch_timeout();
        return true;
    }
    pump();
    return true;
}

void peer::segment_arrived(std::string_view data, bool fin) {
    if (life_ == life::gone) return;
    if (life_ == life::closed && !data.empty()) return reset();
    arrived_ += data.size();
    fin_arrived_ |= fin;
    socket_.truth.arrived += data.size();
    socket_.truth.fin_arrived |= fin;
    acknowledge(script_.ack_delay);
    read_on();
    run();
}

// Counts and window as they are when the segment leaves: a peer that died meanwhile sends none.
void peer::acknowledge(duration wait) {
    world_.after(wait, [this] {
        if (life_ == life::gone) return;
        window_edge_ = read_ + script_.window;
        inward.carry([this, bytes = arrived_, fin = fin_arrived_, edge = window_edge_] {
            socket_.acknowledged(bytes, fin, edge);
        });
    });
}

void peer::read_on() {
    if (reading_ || !script_.read_bytes || read_ == arrived_) return;
    reading_ = true;
    world_.after(script_.read_every, [this] {
        reading_ = false;
        if (life_ != life::open) return;
        read_ = std::min(arrived_, read_ + script_.read_bytes);
        // An update that opens little is left to the next acknowledgement.
        if ((window_edge_ - arrived_) * 2 < script_.window) acknowledge({});
        read_on();
        run();
    });
}

void peer::write(std::string_view bytes) {
    written_ += bytes.size();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), segment_bytes)))
        unsent_.emplace_back(bytes.substr(0, segment_bytes));
}

void peer::write_payload(std::uint64_t bytes) {
    // The text repeats itself, so it is made once.
    constexpr std::uint64_t period = 90 * 89;
    static const std::string repeated = [] {
        std::string made;
        for (std::uint64_t at = 0; at < period; ++at)
            made += sim_payload(at);
        return made;
    }();
    std::string text;
    text.reserve(bytes);
    while (text.size() < bytes) {
        const std::uint64_t at = (written_ + text.size()) % period;
        text.append(repeated, at, std::min(bytes - text.size(), period - at));
    }
    write(text);
}

// At a finite pace, or a virtual second would take very long.
void peer::refill() {
    if (!endless_ || !unsent_.empty() || std::exchange(refilling_, true)) return;
    world_.after(50us, [this] {
        refilling_ = false;
        write_payload(segment_bytes);
        pump();
    });
}

void peer::pump() {
    if (life_ == life::gone) return;
    for (;;) {
        const std::size_t room = socket_.receive_room();
        if (unsent_.empty() || room <= on_the_wire_) break;
        const std::string data = unsent_.front().substr(0, room - on_the_wire_);
        unsent_.front().erase(0, data.size());
        if (unsent_.front().empty()) unsent_.pop_front();
        on_the_wire_ += data.size();
        inward.carry([this, data] {
            on_the_wire_ -= data.size();
            socket_.data_arrived(data);
        });
    }
    refill();
    if (unsent_.empty() && finishing_ && !std::exchange(fin_sent_, true))
        inward.carry([this] { socket_.fin_arrived(); });
}

void peer::window_opened() {
    pump();
    run(); // it may have waited until everything has left
}

void peer::close() {
    if (arrived_ > read_) return reset();
    life_ = life::closed;
    finishing_ = true;
    pump();
}

void peer::reset() {
    life_ = life::gone;
    inward.carry([this] { socket_.reset_arrived(); });
}

void peer::reset_arrived() { life_ = life::gone; }

} // namespace sim
} // namespace ringdown
