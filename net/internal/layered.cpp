#include <ringdown/net/internal/layered.hpp>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/net/internal/send.hpp>

namespace ringdown {
namespace {

// Enough for a few records, so that a bulk send is one system call for all of them.
constexpr std::size_t sends_at_once = 64 * 1024;
// A layer that has so much to say by itself hears no more of its peer, who does not read it.
constexpr std::size_t unsent_max = 256 * 1024;
constexpr std::size_t drops_at_once = 16 * 1024;
// So many records are remembered before those that have arrived are asked for, and forgotten.
constexpr std::size_t records_max = 256;
// What an idle connection keeps of its buffers.
constexpr std::size_t kept_bytes = 4096;

// Calls the layer, whose peer decides how much memory it needs.
template <class Call>
std::error_code guarded(Call call) noexcept {
    try {
        return call();
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    } catch (...) {
        return std::make_error_code(std::errc::state_not_recoverable);
    }
}

void give_back(layer::buffer& emptied) noexcept {
    emptied.clear();
    if (emptied.capacity() > kept_bytes) layer::buffer().swap(emptied);
}

} // namespace

layered::layered(connection& connection, std::unique_ptr<layer> beneath)
    : connection_operation(connection, "send"), beneath_(std::move(beneath)),
      records_({connection.bytes().sent, connection.bytes().sent}), records_wanted_(records_max),
      wire_received_(connection.bytes().received + connection.bytes().discarded),
      wire_sent_(connection.bytes().sent) {
    require(beneath_ != nullptr, "a stream was given no layer; give it one, or call nothing");
}

void layered::begin() {
    note_failure(guarded([this] { return beneath_->begin(next_), std::error_code(); }));
    kick();
}

bool layered::may_send() const noexcept { return !send_error_ && !target().sends_stopped(); }

// Behind a goodbye, and behind FIN, nothing can be said.
bool layered::may_speak() const noexcept {
    return may_send() && !said_goodbye_ && target().sending() <= sending_phase::flushing;
}

void layered::note_failure(std::error_code error) noexcept {
    if (!error) return;
    error_ = error;
    send_error_ = error;
    give_up();
    target().own_inbox()->layer_failed();
}

// What is left never goes out.
void layered::give_up() noexcept {
    give_back(next_);
    if (in_flight()) return;
    out_at_ = 0;
    give_back(out_);
}

// A handshake that is not over by then never will be.
bool layered::nothing_will_come() const noexcept {
    return over() || target().receiving() == receiving_phase::finished ||
           target().receiving() == receiving_phase::reset;
}

std::error_code layered::why_not() const noexcept {
    if (send_error_) return send_error_;
    if (const int lost = target().end_errno()) return target().error_of(-lost);
    if (target().sends_stopped()) return canceled();
    return error() ? error() : make_error_code(errc::truncated);
}

std::size_t layered::takes_at_once() const noexcept {
    return may_send() && beneath_->ready() ? sends_at_once : 0;
}

bool layered::encode(std::span<const std::byte> plain) noexcept {
    const std::size_t record_max = std::max<std::size_t>(beneath_->record_bytes_max(), 1);
    while (!plain.empty() && !send_error_) {
        const auto record = plain.first(std::min(plain.size(), record_max));
        note_failure(guarded([&] {
            const std::error_code error = beneath_->encode(record, next_);
            if (!error) note_record(records_.last().plain + record.size());
            return error;
        }));
        plain = plain.subspan(record.size());
    }
    return !send_error_;
}

std::uint64_t layered::wire_end() const noexcept {
    return wire_sent_ + (out_.size() - out_at_) + next_.size();
}

void layered::note_record(std::uint64_t plain_end) {
    if (records_.size() >= records_wanted_) forget_acknowledged();
    records_.add({wire_end(), plain_end});
}

// How many bytes were sent is told exactly; of how many have arrived a report may know of less.
void layered::forget_acknowledged() {
    int queued = 0;
    const bool told = target().on().calls().ioctl(target().descriptor(), SIOCOUTQ, queued) >= 0;
    const auto waiting = static_cast<std::uint64_t>(queued);
    if (told && target().traits().counts_acknowledgements && waiting <= wire_sent_)
        records_.forget(wire_sent_ - waiting);
    if (records_.size() > records_max / 2) records_.thin(wire_sent_);
    records_wanted_ = std::max(records_max, 2 * records_.size());
}

void layered::send_for(queued_operation& turn) noexcept {
    turn_ = &turn;
    turn_ends_ = wire_end();
    kick();
    tell_turn();
}

// Once what it gave is out, it may give more; while a piece is on its way, that one's end tells.
void layered::tell_turn() noexcept {
    if (!turn_ || (in_flight() && wire_sent_ < turn_ends_)) return;
    const bool takes_more = said_goodbye_ || beneath_->ready();
    if (!may_send() || (!takes_more && all_sent() && nothing_will_come()))
        fail(why_not());
    else if (takes_more && wire_sent_ >= turn_ends_)
        std::exchange(turn_, nullptr)->layer_sent();
}

void layered::forget(const queued_operation& turn) noexcept {
    if (turn_ == &turn) turn_ = nullptr;
}

bool layered::goes_before(queued_operation& fin) noexcept {
    if (may_send() && !std::exchange(said_goodbye_, true))
        note_failure(guarded([this] { return beneath_->say_goodbye(next_), std::error_code(); }));
    if (may_send() && all_sent()) return true;
    send_for(fin);
    return false;
}

void layered::fail(std::error_code why) noexcept {
    if (queued_operation* told = std::exchange(turn_, nullptr)) told->layer_failed(why);
}

bool layered::hears() const noexcept { return next_.size() < unsent_max; }

// Sends what there is, unless a piece is on its way.
void layered::kick() noexcept {
    if (in_flight() || all_sent() || !may_send()) return;
    if (out_at_ == out_.size()) {
        out_.clear();
        out_at_ = 0;
        std::swap(out_, next_);
    }
    piece();
}

void layered::piece() noexcept {
    // MSG_MORE keeps the last segment back, so that FIN travels on it; a handshake has no time.
    const bool more = target().sending() == sending_phase::flushing && beneath_->ready() &&
                      !target().fin().settled_event().happened();
    launch([&](io_uring_sqe& sqe) {
        io_uring_prep_send(&sqe, target().descriptor(), out_.data() + out_at_,
                           out_.size() - out_at_, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    });
}

void layered::settled(completion what) noexcept {
    connection& connection = target();
    if (what.result < 0) {
        const bool behind_fin = connection.sending() >= sending_phase::fin_sent;
        const bool ours = what.result == -EPIPE && behind_fin;
        if (!ours && !refused_by_us(connection, what.result)) connection.note_error(what.result);
        send_error_ = connection.error_of(what.result);
    } else {
        out_at_ += static_cast<std::size_t>(what.result);
        wire_sent_ += static_cast<std::uint64_t>(what.result);
        connection.bytes().sent = records_.plain_within(wire_sent_);
    }
    if (!may_send()) give_up();
    tell_turn();
    kick();
    if (all_sent()) give_up(); // there is nothing, but memory
    connection.own_inbox()->layer_hears();
}

void layered::decode(std::span<const std::byte> wire, layer::buffer& plain) noexcept {
    wire_received_ += wire.size();
    if (over()) return;
    layer::buffer unsaid;
    layer::buffer& answer = may_speak() ? next_ : unsaid;
    error_ = guarded([&] { return beneath_->decode(wire, plain, answer); });
    if (peer_said_goodbye()) target().note_end_seen();
    kick();
    tell_turn(); // it may have waited for a handshake
}

std::span<std::byte> layered::discard_buffer() {
    dropped_.resize(drops_at_once);
    return dropped_;
}

std::uint64_t layered::discard(std::size_t bytes) noexcept {
    layer::buffer plain;
    decode(std::span(dropped_).first(bytes), plain);
    return plain.size();
}

std::uint64_t layered::acknowledged(std::uint64_t wire) const noexcept {
    if (wire > wire_sent_) return target().bytes().sent + 1;
    return records_.plain_within(wire);
}

std::uint64_t layered::plain_unsent() const noexcept {
    return records_.last().plain - target().bytes().sent;
}

} // namespace ringdown
