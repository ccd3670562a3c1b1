// The bytes of a peer: writing, reading, and counting both.

#include "peer.hpp"

#include "pattern.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/socket.h>

namespace ringdown_demo {

namespace {

constexpr auto never = clock::time_point::max();
// One peer with a large answer must not hold up all others.
constexpr int reads_in_a_row = 4;
// The server promises to stop at 1 MiB; one that does not shows by this.
constexpr std::uint64_t upload_bytes_max = 4 * 1024 * 1024;
constexpr std::uint64_t drip_bytes = 200;

} // namespace

void peer::write_some() {
    if (clock::now() >= next_write_ && may_write_ < to_write_) {
        may_write_ = std::min(may_write_ + kind_.write_bytes, to_write_);
        next_write_ = may_write_ < to_write_ ? clock::now() + kind_.write_every : never;
    }
    while (seen_.written < may_write_) {
        const auto* data = reinterpret_cast<const std::byte*>(line_.data());
        auto piece = std::span(data, line_.size());
        if (seen_.written < line_.size()) {
            piece = piece.subspan(seen_.written);
        } else {
            piece = pattern(salt_, seen_.written - line_.size(), may_write_ - seen_.written);
        }
        const auto sent = ::send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                note_error(errno);
            }
            return;
        }
        seen_.written += static_cast<std::uint64_t>(sent);
    }
}

// True if it stopped for fairness only.
bool peer::read_some() {
    if (kind_.reads == reading::never || seen_.end_read || seen_.reset_seen || leave_at_ != never) {
        return false;
    }
    if (kind_.reads == reading::slowly) {
        if (clock::now() >= next_read_) {
            [[maybe_unused]] const bool got = read_once(kind_.read_bytes);
            next_read_ = seen_.end_read ? never : clock::now() + kind_.read_every;
        }
        return false;
    }
    for (int i = 0; i < reads_in_a_row; ++i) {
        auto bytes_max = pattern_bytes_max;
        // Who leaves in the middle leaves the rest unread.
        if (kind_.leaves != leaving::no && seen_.read < role_.leave_after_read) {
            bytes_max = std::min<std::uint64_t>(bytes_max, role_.leave_after_read - seen_.read);
        }
        if (leaving_is_due() || leave_at_ != never || !read_once(bytes_max)) {
            return false;
        }
    }
    return true;
}

bool peer::read_once(std::size_t bytes_max) {
    static std::array<std::byte, pattern_bytes_max> buffer; // only the load's thread reads
    const auto got = ::recv(fd_.get(), buffer.data(), bytes_max, 0);
    if (got > 0) {
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        if (!seen_.wrong_byte_at) {
            seen_.wrong_byte_at = first_difference(salt_, seen_.read, bytes);
        }
        seen_.read += bytes.size();
        return true;
    }
    if (got == 0) {
        // A reset socket whose error was taken already answers 0 as well: that is no end.
        seen_.end_read = seen_.end_read || !seen_.reset_seen;
    } else if (errno != EAGAIN) {
        note_error(errno);
    }
    return false;
}

// Nothing more will come, so that reading changes nothing for the server and shows the rest.
void peer::read_what_is_left() {
    while (read_once(pattern_bytes_max)) {
    }
    // When FIN came before the reset, recv tells only of FIN.
    note_error(take_error(fd_.get()));
}

void peer::note_error(int error) {
    if (error == ECONNRESET || error == EPIPE) {
        seen_.reset_seen = true;
    } else if (error != 0) {
        seen_.error = error;
    }
}

bool peer::upload_if_due() {
    if (kind_.uploads == uploading::no || !seen_.end_read || !everything_written() ||
        seen_.written >= upload_bytes_max) {
        return false;
    }
    if (kind_.uploads == uploading::flood) {
        to_write_ += pattern_bytes_max;
    } else {
        if (next_write_ != never && clock::now() < next_write_) {
            return false;
        }
        to_write_ += drip_bytes;
        next_write_ = clock::now() + kind_.write_every;
    }
    may_write_ = to_write_;
    return true;
}

void peer::measure() {
    seen_.queued = unread_bytes(fd_.get());
    const auto received = query_state(fd_.get()).bytes_received;
    seen_.end_received = received == seen_.heard() + 1;
    seen_.counts_differ = received != seen_.heard() && !seen_.end_received;
    seen_.server_answered =
        received > 0 || (seen_.written > 0 && unacknowledged_bytes(fd_.get()) < seen_.written);
}

} // namespace ringdown_demo
