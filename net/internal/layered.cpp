#include <ringdown/net/internal/layered.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/send.hpp>

namespace ringdown {
namespace {

// Enough for a few records, so that a bulk send is one system call for all of them.
constexpr std::size_t sends_at_once = 64 * 1024;
constexpr std::size_t drops_at_once = 16 * 1024;
// So many records are remembered before those that have arrived are asked for, and forgotten.
constexpr std::size_t records_max = 256;

} // namespace

layered::layered(connection& connection, std::unique_ptr<layer> beneath)
    : connection_operation(connection, "send"), beneath_(std::move(beneath)),
      records_({connection.bytes().sent, connection.bytes().sent}),
      wire_received_(connection.bytes().received + connection.bytes().discarded),
      wire_sent_(connection.bytes().sent) {}

void layered::begin() {
    beneath_->begin(next_);
    note_record(records_.last().plain);
    kick();
}

std::size_t layered::takes_at_once() const noexcept {
    return beneath_->ready() ? sends_at_once : 0;
}

bool layered::encode(std::span<const std::byte> plain) noexcept {
    const std::size_t record_max = std::max<std::size_t>(beneath_->record_bytes_max(), 1);
    while (!plain.empty() && failed_ == 0) {
        const auto record = plain.first(std::min(plain.size(), record_max));
        if (beneath_->encode(record, next_))
            failed_ = -EPROTO;
        else
            note_record(records_.last().plain + record.size());
        plain = plain.subspan(record.size());
    }
    return failed_ == 0;
}

void layered::note_record(std::uint64_t plain_end) noexcept {
    const std::uint64_t wire_end = wire_sent_ + (out_.size() - out_at_) + next_.size();
    if (wire_end == records_.last().wire) return;
    if (records_.size() >= records_max) forget_acknowledged();
    records_.add({wire_end, plain_end});
}

// What is left is half as many at most, so that this is done seldom.
void layered::forget_acknowledged() noexcept {
    int queued = 0;
    const bool told = target().on().calls().ioctl(target().descriptor(), SIOCOUTQ, queued) >= 0;
    const auto waiting = static_cast<std::uint64_t>(queued);
    if (told && target().traits().counts_acknowledgements && waiting <= wire_sent_)
        records_.forget(wire_sent_ - waiting);
    // How many bytes were sent is told exactly; of how many have arrived a report may know of less.
    if (records_.size() > records_max / 2) records_.thin(wire_sent_);
}

void layered::send_for(queued_operation& turn) noexcept {
    turn_ = &turn;
    kick();
    if (failed_ != 0)
        fail(failed_);
    else if (target().sends_stopped() && !in_flight())
        fail(-ECANCELED);
}

void layered::forget(const queued_operation& turn) noexcept {
    if (turn_ == &turn) turn_ = nullptr;
}

bool layered::goes_before(queued_operation& fin) noexcept {
    if (!std::exchange(said_goodbye_, true) && failed_ == 0) {
        beneath_->say_goodbye(next_);
        note_record(records_.last().plain);
    }
    if (failed_ == 0 && all_sent() && !target().sends_stopped()) return true;
    send_for(fin);
    return false;
}

void layered::stop() noexcept {
    if (!in_flight()) fail(-ECANCELED);
}

void layered::fail(int result) noexcept {
    if (queued_operation* told = std::exchange(turn_, nullptr)) told->layer_failed(result);
}

// Sends what there is, unless a piece is on its way.
void layered::kick() noexcept {
    if (in_flight() || failed_ != 0 || all_sent() || target().sends_stopped()) return;
    if (out_at_ == out_.size()) {
        out_.clear();
        out_at_ = 0;
        std::swap(out_, next_);
    }
    piece();
}

void layered::piece() noexcept {
    // MSG_MORE keeps the last segment back, so that FIN travels on it.
    const bool more = target().sending() == sending_phase::flushing;
    launch([&](io_uring_sqe& sqe) {
        io_uring_prep_send(&sqe, target().descriptor(), out_.data() + out_at_,
                           out_.size() - out_at_, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    });
}

void layered::settled(completion what) noexcept {
    connection& connection = target();
    if (what.result < 0) {
        if (!refused_by_us(connection, what.result)) connection.note_error(what.result);
        failed_ = what.result;
        fail(failed_);
        return;
    }
    const auto bytes = static_cast<std::size_t>(what.result);
    out_at_ += bytes;
    wire_sent_ += bytes;
    connection.bytes().sent = records_.plain_within(wire_sent_);
    if (!all_sent())
        kick();
    else if (queued_operation* told = std::exchange(turn_, nullptr))
        told->layer_sent();
    if (!in_flight() && connection.sends_stopped()) fail(-ECANCELED);
}

void layered::decode(std::span<const std::byte> wire, layer::buffer& plain) noexcept {
    wire_received_ += wire.size();
    if (over()) return;
    error_ = beneath_->decode(wire, plain, next_);
    note_record(records_.last().plain);
    kick();
    // A send may have waited for a handshake that is over now.
    if (turn_ && !in_flight() && all_sent() && beneath_->ready())
        std::exchange(turn_, nullptr)->layer_sent();
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
