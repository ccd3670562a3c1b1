#include <ringdown/net/internal/inbox.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/layered.hpp>
#include <ringdown/net/internal/step_operation.hpp>
#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {
namespace {

// After so many receives in a row that did not fill their buffer, or took all there was, we expect
// messages and no bulk.
constexpr std::uint8_t small_enough = 2;

// Enough that the reader never waits for the kernel; when buffers are short, one is enough.
unsigned queued_max(const buffer_pool& pool) noexcept {
    return pool.available() > pool.count() / 2 ? 8 : 1;
}

} // namespace

struct inbox::shortage final : pooled, buffer_waiter {
    shortage(inbox& owner, connection& connection) noexcept
        : of(owner), peek(connection, "peek", owner, &inbox::peeked, true) {}

    void buffer_returned() noexcept override { of.buffer_returned(); }

    inbox& of;
    step_operation<inbox> peek;
    std::byte peeked{};
};

inbox::inbox(connection& connection)
    : connection_operation(connection, "recv"), pool_(connection.on().service<buffer_pool>()) {}

inbox::~inbox() {
    delete shortage_;
    while (queued_ > 0)
        pool_.give_back(pop());
}

bool inbox::sealed() const noexcept { return !target().accepts_receives(); }

bool inbox::holds_data() const noexcept {
    if (queued_ > 0 || data_waits_) return true;
    const layered* beneath = target().own_layer();
    const bool receives = !sealed() && target().receiving() == receiving_phase::open;
    return beneath && receives && beneath->inside_record();
}

bool inbox::wants_more() const noexcept {
    if (sealed() || end_) return false;
    const layered* beneath = target().own_layer();
    if (beneath) return beneath->hears() && (reader_ || queued_ < queued_max(pool_));
    return reader_ != nullptr;
}

bool inbox::wait(inbox_reader& reader) {
    require(!reader_, "two receives at once on one stream; await one before the next");
    if (has_bytes() || end_) return false;
    reader_ = &reader;
    if (wants_more()) arm();
    return true;
}

void inbox::forget(inbox_reader& reader) noexcept {
    if (reader_ != &reader) return;
    reader_ = nullptr;
    reader.fail(canceled());
}

void inbox::arm() {
    if (in_flight()) return;
    // Where the kernel does not pick a buffer when data comes, none is tied up until it has.
    if (pool_.available() == 0 || (!pool_.kernel_selects() && !data_waits_)) {
        peek();
        return;
    }
    picked_in_flight_ = !pool_.kernel_selects() && pool_.pick(picked_);
    launch([this](io_uring_sqe& sqe) { prepare(sqe); });
}

inbox::shortage& inbox::have_shortage() {
    if (!shortage_) shortage_ = new shortage(*this, target());
    return *shortage_;
}

void inbox::peek() noexcept {
    shortage& now = have_shortage();
    if (data_waits_) {
        pool_.notify(now);
    } else if (!now.peek.in_flight()) {
        now.peek.launch([this, &now](io_uring_sqe& sqe) {
            io_uring_prep_recv(&sqe, target().descriptor(), &now.peeked, 1, MSG_PEEK);
        });
    }
}

void inbox::peeked(completion what) noexcept {
    data_waits_ = what.result > 0 && !sealed();
    if (what.result <= 0 && what.result != -ECANCELED) end(what);
    if (wants_more()) arm();
}

// The stream has ended, by FIN or by an error; what is queued is read before that is told.
void inbox::end(completion what) noexcept {
    connection& connection = target();
    if (what.result == 0)
        connection.note_nothing_received(what);
    else
        connection.note_error(what.result);
    if (end_ && connection.own_layer()) return; // which has told of one before
    const bool by_fin = what.result == 0 && connection.end_errno() == 0;
    const errc how = connection.own_layer() ? errc::truncated : errc::end_of_stream;
    end_ = by_fin ? make_error_code(how) : connection.error_of(what.result);
    if (!sealed() && queued_ == 0) tell_reader();
}

void inbox::prepare(io_uring_sqe& sqe) noexcept {
    const int fd = target().descriptor();
    if (!pool_.kernel_selects()) {
        io_uring_prep_recv(&sqe, fd, pool_.memory(picked_), pool_.buffer_bytes(), 0);
        return;
    }
    // One that stays armed takes all that has come, at once: good for messages, but a stream
    // whose reader lags behind would take every buffer that is left.
    const bool messages = small_in_a_row_ >= small_enough && !pool_.is_short();
    if (messages && target().on().has(capability::multishot_recv))
        io_uring_prep_recv_multishot(&sqe, fd, nullptr, 0, 0);
    else
        io_uring_prep_recv(&sqe, fd, nullptr, pool_.buffer_bytes(), 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = buffer_pool::group;
}

void inbox::settled(completion what) noexcept {
    const bool filled = what.result > 0;
    data_waits_ = false;
    if (picked_in_flight_) {
        picked_in_flight_ = false;
        if (filled)
            received(picked_, what);
        else
            pool_.give_back(picked_);
    } else if (what.flags & IORING_CQE_F_BUFFER) {
        const auto buffer = static_cast<std::uint16_t>(what.flags >> IORING_CQE_BUFFER_SHIFT);
        pool_.taken_by_kernel();
        if (filled)
            received(buffer, what);
        else
            pool_.give_back(buffer);
    }

    if (what.result <= 0 && what.result != -ENOBUFS && what.result != -ECANCELED) end(what);
    if (!in_flight() && wants_more()) arm();
}

void inbox::buffer_returned() noexcept {
    if (wants_more()) arm();
}

void inbox::received(std::uint16_t buffer, completion what) noexcept {
    const auto bytes = static_cast<std::size_t>(what.result);
    // A full buffer with nothing behind it is a message as well.
    const bool more = !target().traits().tells_of_more || (what.flags & IORING_CQE_F_SOCK_NONEMPTY);
    if (bytes == pool_.buffer_bytes() && more)
        small_in_a_row_ = 0;
    else if (small_in_a_row_ < small_enough)
        ++small_in_a_row_;
    if (layered* beneath = target().own_layer()) [[unlikely]] {
        decode(*beneath, buffer, 0, bytes);
    } else if (sealed()) {
        target().bytes().discarded += bytes;
        pool_.give_back(buffer);
    } else {
        put(pool_.keep(buffer, bytes), bytes);
    }
    if (const layered* beneath = target().own_layer(); beneath && !beneath->hears())
        request_cancel();
    if (sealed()) return;
    if (reader_ && (has_bytes() || end_))
        tell_reader();
    else if (queued_ >= queued_max(pool_))
        request_cancel();
}

void inbox::begin_layer() {
    // What came ahead of the layer is the first that it gets.
    layered& beneath = *target().own_layer();
    const std::error_code ended = std::exchange(end_, packed_error());
    for (auto left = queued_; left > 0; --left) {
        const std::uint32_t taken_before = offset_;
        const std::uint32_t buffer = pop();
        decode(beneath, buffer, taken_before, pool_.link(buffer).bytes);
    }
    if (ended && !end_) {
        const bool cut = ended == errc::end_of_stream;
        end_ = cut ? make_error_code(errc::truncated) : ended;
    }
    layer_hears();
}

void inbox::layer_hears() noexcept {
    if (!in_flight() && wants_more()) arm();
}

// The layer makes what it will of the buffer, which goes back at once.
void inbox::decode(layered& beneath, std::uint32_t buffer, std::size_t begin,
                   std::size_t end) noexcept {
    layer::buffer plain;
    beneath.decode(std::span(pool_.memory(buffer), end).subspan(begin), plain);
    pool_.give_back(buffer);
    if (sealed())
        target().bytes().discarded += plain.size();
    else
        keep_plain(plain);
    note_layer_end();
}

void inbox::note_layer_end() noexcept {
    const layered& beneath = *target().own_layer();
    if (end_ || !beneath.over()) return;
    end_ = beneath.error() ? beneath.error() : make_error_code(errc::end_of_stream);
}

void inbox::layer_failed() noexcept {
    note_layer_end();
    if (!sealed() && queued_ == 0 && end_) tell_reader();
}

void inbox::keep_plain(std::span<const std::byte> plain) noexcept {
    // Nothing follows a hole that a want of memory has left.
    if (end_) target().bytes().discarded += plain.size();
    if (end_) return;
    while (!plain.empty()) {
        const auto piece = plain.first(std::min(plain.size(), pool_.buffer_bytes()));
        std::uint32_t copy = 0;
        if (!pool_.copy(piece, copy)) {
            end_ = std::make_error_code(std::errc::not_enough_memory);
            return;
        }
        put(copy, piece.size());
        plain = plain.subspan(piece.size());
    }
}

void inbox::tell_reader() noexcept {
    inbox_reader* told = std::exchange(reader_, nullptr);
    if (!told) return;
    if (has_bytes())
        told->arrived();
    else
        told->fail(tell_end());
}

std::error_code inbox::tell_end() noexcept {
    const std::error_code why = end_;
    if (why == errc::end_of_stream || why == errc::truncated) target().note_end_told();
    return why;
}

void inbox::put(std::uint32_t buffer, std::size_t bytes) noexcept {
    pool_.link(buffer).bytes = static_cast<std::uint32_t>(bytes);
    if (queued_++ == 0)
        first_ = buffer;
    else
        pool_.link(last_).next = buffer;
    last_ = buffer;
}

std::uint32_t inbox::pop() noexcept {
    const std::uint32_t buffer = first_;
    first_ = pool_.link(buffer).next;
    offset_ = 0;
    --queued_;
    return buffer;
}

lease inbox::take() noexcept {
    const std::uint32_t taken_before = offset_;
    const std::uint32_t buffer = pop();
    const std::size_t bytes = pool_.link(buffer).bytes;
    target().bytes().received += bytes - taken_before;
    if (target().own_layer()) layer_hears();
    return pool_.make_lease(buffer, taken_before, bytes);
}

std::size_t inbox::copy_out(std::span<std::byte> into) noexcept {
    const std::size_t left = pool_.link(first_).bytes - offset_;
    const std::size_t bytes = std::min(left, into.size());
    std::memcpy(into.data(), pool_.memory(first_) + offset_, bytes);
    if (bytes == left)
        pool_.give_back(pop());
    else
        offset_ += static_cast<std::uint32_t>(bytes);
    target().bytes().received += bytes;
    if (target().own_layer()) layer_hears();
    return bytes;
}

void inbox::seal() noexcept {
    if (shortage_) {
        shortage_->unlink();
        data_waits_ = false;
        shortage_->peek.request_cancel();
    }
    while (queued_ > 0) {
        const std::uint32_t taken_before = offset_;
        const std::uint32_t buffer = pop();
        target().bytes().discarded += pool_.link(buffer).bytes - taken_before;
        pool_.give_back(buffer);
    }
    if (reader_) std::exchange(reader_, nullptr)->fail(canceled());
}

} // namespace ringdown
