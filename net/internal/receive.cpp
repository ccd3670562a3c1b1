#include <ringdown/net/internal/receive.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <ringdown/net/internal/inbox.hpp>

namespace ringdown {
namespace {

// A length has 32 bits.
constexpr std::size_t bytes_at_once = std::size_t{1} << 30;

} // namespace

recv_operation::recv_operation(connection& connection, std::span<std::byte> into) noexcept
    : connection_operation(connection, "recv"), into_(into) {}

// False when the answer is there already.
bool recv_operation::begin() {
    connection& connection = target();
    if (const auto refusal = connection.refuses_receiving()) {
        answer_ = std::unexpected(refusal);
    } else if (into_.empty()) {
        answer_ = std::unexpected(std::make_error_code(std::errc::invalid_argument));
    } else if (inbox* through = connection.own_inbox()) {
        connection.note_in_use();
        // Once leases were asked for, everything comes through the inbox, in order.
        if (through->wait(*this)) return true;
        if (through->has_bytes()) {
            answer_ = through->copy_out(into_);
            connection.note_change();
        } else {
            answer_ = std::unexpected(through->tell_end());
        }
    } else {
        connection.note_in_use();
        connection.begin_receive(*this);
        launch([&](io_uring_sqe& sqe) {
            io_uring_prep_recv(&sqe, connection.descriptor(), into_.data(),
                               std::min(into_.size(), bytes_at_once), 0);
        });
        return true;
    }
    stay();
    return false;
}

void recv_operation::arrived() noexcept {
    answer_ = target().own_inbox()->copy_out(into_);
    wake();
    target().note_change(); // behind the reader: who waits for the end goes on after it
}

void recv_operation::fail(std::error_code why) noexcept {
    answer_ = std::unexpected(why);
    wake();
}

void recv_operation::settled(completion what) noexcept {
    connection& connection = target();
    connection.end_receive();
    if (what.result > 0) {
        connection.bytes().received += static_cast<std::size_t>(what.result);
        answer_ = static_cast<std::size_t>(what.result);
        wake();
        return;
    }
    if (what.result == 0)
        connection.note_nothing_received(what);
    else
        connection.note_error(what.result);
    const bool ended =
        what.result == 0 && connection.end_errno() == 0 && connection.life() < life_phase::aborting;
    if (ended) connection.note_end_told();
    fail(ended ? make_error_code(errc::end_of_stream) : connection.error_of(what.result));
}

void recv_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    if (in_flight())
        request_cancel();
    else if (inbox* through = target().own_inbox())
        through->forget(*this);
}

bool lease_operation::begin() {
    if (const auto refusal = from_.refuses_receiving()) {
        answer_ = std::unexpected(refusal);
    } else {
        from_.note_in_use();
        inbox& through = from_.make_inbox();
        if (through.wait(*this)) return true;
        if (through.has_bytes()) {
            answer_ = through.take();
            from_.note_change();
        } else {
            answer_ = std::unexpected(through.tell_end());
        }
    }
    stay();
    return false;
}

void lease_operation::arrived() noexcept {
    answer_ = from_.own_inbox()->take();
    wake();
    from_.note_change(); // behind the reader: who waits for the end goes on after it
}

void lease_operation::fail(std::error_code why) noexcept {
    answer_ = std::unexpected(why);
    wake();
}

void lease_operation::cancel(cancel_reason reason) noexcept {
    from_.note_canceled(reason);
    from_.own_inbox()->forget(*this);
}

} // namespace ringdown
