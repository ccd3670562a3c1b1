#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <ringdown/net/address.hpp>
#include <ringdown/net/byte_counts.hpp>
#include <ringdown/net/internal/abandoned.hpp>
#include <ringdown/net/internal/connection_follower.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/net/internal/connection_origin.hpp>
#include <ringdown/net/internal/discard.hpp>
#include <ringdown/net/internal/farewell.hpp>
#include <ringdown/net/internal/fin.hpp>
#include <ringdown/net/internal/peer_record.hpp>
#include <ringdown/net/internal/peer_watch.hpp>
#include <ringdown/net/internal/phases.hpp>
#include <ringdown/net/internal/send_queue.hpp>
#include <ringdown/net/transport.hpp>
#include <ringdown/runtime/internal/counted_ref.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

class inbox;
class layer;
class layered;

/// The state block of a socket, connected or for datagrams: descriptor, phases, operations in
/// flight, bytes.
///
/// Owned by its loop, which keeps it until the descriptor is closed; streams are handles to it.
class connection final : public pooled, public resident {
public:
    using origin = connection_origin;

    /// Takes the descriptor over.
    static connection& adopt(loop& loop, int fd, const origin& from);

    /// References keep the block after the descriptor is closed.
    /// @{
    void retain() noexcept { ++references_; }
    void release() noexcept;
    /// @}

    [[nodiscard]] loop& on() const noexcept { return loop_; }
    [[nodiscard]] int descriptor() const noexcept { return fd_; }
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] transport_traits traits() const noexcept { return traits_; }
    [[nodiscard]] bool ipv6() const noexcept { return ipv6_; }
    /// As in `origin`.
    [[nodiscard]] std::uint64_t acknowledged_before() const noexcept {
        const bool counted = !extras_ || extras_->acknowledged_before == 0;
        return counted ? std::uint64_t{syn_counted_} : extras_->acknowledged_before;
    }
    /// The peer's name; AF_UNSPEC while nobody has asked for it.
    [[nodiscard]] address peer() const noexcept;
    /// The same; the kernel is asked for what is not known yet, while there is a descriptor.
    address learn_peer() noexcept;
    [[nodiscard]] bool knows_peer() const noexcept { return peer_ || !traits_.has_names; }
    /// Where the kernel puts the name, of a family that is known; to be asked for at once.
    [[nodiscard]] sockaddr* await_peer(socklen_t bytes) noexcept { return peer_.room_for(bytes); }
    void set_peer(const address& peer) noexcept { peer_.set(peer); }

    [[nodiscard]] sending_phase sending() const noexcept { return sending_; }
    [[nodiscard]] receiving_phase receiving() const noexcept { return receiving_; }
    [[nodiscard]] life_phase life() const noexcept { return life_; }
    void enter(sending_phase next) noexcept;
    void enter(receiving_phase next) noexcept;
    void enter(life_phase next) noexcept;

    [[nodiscard]] first_end ended_first() const noexcept { return ended_first_; }

    [[nodiscard]] byte_counts& bytes() noexcept { return bytes_; }
    [[nodiscard]] const byte_counts& bytes() const noexcept { return bytes_; }
    [[nodiscard]] send_queue& sends() noexcept { return sends_; }
    [[nodiscard]] bool idle() const noexcept { return in_flight_.empty(); }
    /// True while an operation is in flight that an ending cancels.
    [[nodiscard]] bool cancels_in_flight() noexcept;
    /// True while an operation is in flight that the kernel may hold on to for as long as it likes.
    [[nodiscard]] bool pins_buffers() noexcept;
    /// True when nothing in flight uses the descriptor any more: at most buffers are pinned.
    [[nodiscard]] bool lets_go_of_descriptor() noexcept;
    /// Two receives in flight are not served in order, so a stream has one at a time.
    /// @{
    void require_no_receive() const noexcept {
        require(through_inbox_ || !receive_,
                "two receives at once on one stream; await one before the next");
    }
    void begin_receive(connection_operation& receive) noexcept {
        require_no_receive();
        receive_ = &receive;
    }
    void end_receive() noexcept { receive_ = nullptr; }
    /// True while one is in flight, of either kind.
    [[nodiscard]] bool receives() const noexcept;
    /// @}

    /// The errno that told of a reset or of a lost network; 0 before. Remembered, because the
    /// kernel tells it only once.
    [[nodiscard]] int end_errno() const noexcept { return end_errno_; }
    [[nodiscard]] bool was_reset() const noexcept;
    /// Takes note of what a completion tells about the connection.
    void note_error(int negated_errno) noexcept;
    void note_end_of_stream() noexcept;
    /// The peer's end was seen, with data before it that is still to be received.
    void note_end_seen() noexcept {
        if (life_ < life_phase::aborting) note_first(first_end::peer);
    }
    /// Takes note of a receive that brought nothing: the peer's FIN, or a reset whose error some
    /// other operation has swallowed.
    void note_nothing_received(completion what) noexcept;
    /// Which end was first is known when FIN is issued, not when the kernel has answered.
    /// @{
    void note_fin_issued() noexcept { note_first(first_end::local); }
    void note_fin_refused() noexcept;
    /// @}
    /// Nothing more is to go out: a send of which a part was accepted does not go on.
    /// @{
    void stop_sends() noexcept;
    [[nodiscard]] bool sends_stopped() const noexcept { return sends_stopped_; }
    /// @}
    /// What the application is told of a failed operation.
    [[nodiscard]] std::error_code error_of(int negated_errno) const noexcept;
    /// The error of an operation that must not be started now; empty when it may.
    [[nodiscard]] std::error_code refuses_sending() const noexcept;
    [[nodiscard]] std::error_code refuses_receiving() const noexcept;

    /// Bytes of a send that was cut short are the application's again: it has been told how many
    /// went, and goes on, or not. Until it sends again, a FIN would make the stream look complete.
    /// @{
    void note_cut(std::uint64_t bytes) noexcept { need_extras().cut_bytes = bytes; }
    /// True when the new send takes over such bytes; until one of them went, it may fail and have
    /// continued nothing. There is one such send at a time.
    bool note_continued() noexcept;
    void note_not_continued() noexcept;
    [[nodiscard]] bool cut_short() const noexcept { return extras_ && extras_->cut_bytes > 0; }
    /// @}

    /// What the application may still do while the connection is ending.
    /// @{
    void allow(allowance what) noexcept { allowed_ = what; }
    [[nodiscard]] allowance allowed() const noexcept { return allowed_; }
    [[nodiscard]] bool sealed(allowance direction) const noexcept {
        if (life_ == life_phase::open) return false;
        const bool says_farewell = direction == allowance::answers && says_farewell_;
        return life_ != life_phase::ending || (allowed_ != direction && !says_farewell);
    }
    /// @}

    /// What the protocol says last, ahead of the FIN of an ending.
    /// @{
    farewell& make_farewell();
    [[nodiscard]] std::unique_ptr<farewell> take_farewell() noexcept {
        return extras_ ? std::move(extras_->last_words) : nullptr;
    }
    /// While it is said, a connection that is ending may send.
    void say_farewell(bool says) noexcept { says_farewell_ = says; }
    /// Until the peer has said its own, the end of its stream comes too early.
    void expect_goodbye(bool expected) noexcept { expects_goodbye_ = expected; }
    /// @}

    /// The application was told of the end of the stream, having taken every byte before it. While
    /// a follower expects more, that end is `truncated`.
    /// @{
    void note_end_told() noexcept;
    [[nodiscard]] bool end_told() const noexcept { return told_ != told_end::none; }
    [[nodiscard]] bool truncated() const noexcept;
    /// @}

    /// Once it was requested.
    [[nodiscard]] fin_operation& fin() noexcept { return *extras_->at_end->fin; }
    /// Puts FIN behind every byte that was handed over. Behind a send that was cut short it puts
    /// none, and answers false, because the peer would take what came for the whole.
    bool request_fin() noexcept;

    /// Takes a send out of the queue that waits there, and with it the FIN that was asked for
    /// behind it: without its bytes, FIN would make the stream look complete.
    void withdraw(queued_operation& waiting) noexcept;

    /// Cancels what is in flight and neither flushes nor discards; all of it if `everything`.
    void cancel_operations(bool everything) noexcept;
    /// Cancels what the reset that was just sent does not end by itself.
    void cancel_after_reset() noexcept;

    [[nodiscard]] ending_driver* ending() const noexcept {
        return extras_ ? extras_->ending : nullptr;
    }
    void set_ending(ending_driver& driver) noexcept;

    /// What lies between the stream and the socket, if anything does. Where it does, bytes of the
    /// wire are not the application's, and only the former are the kernel's to count.
    /// @{
    void use_layer(std::unique_ptr<layer> beneath);
    [[nodiscard]] layered* own_layer() const noexcept {
        return has_layer_ ? extras_->beneath : nullptr;
    }
    [[nodiscard]] std::uint64_t wire_sent() const noexcept;
    /// Taken from the socket, whoever got it.
    [[nodiscard]] std::uint64_t wire_received() const noexcept;
    /// Bytes of the application among so many of the wire, and FIN, that the peer's kernel has.
    [[nodiscard]] std::uint64_t acknowledged(std::uint64_t wire) const noexcept;
    /// Bytes went with the socket that nobody had taken. What a layer would have made of them
    /// nobody knows.
    void note_lost_unread(std::uint64_t wire) noexcept {
        if (!has_layer_) bytes_.discarded += wire;
    }
    /// Why a layer cannot go on with what the peer sends; empty while it can.
    [[nodiscard]] std::error_code layer_error() const noexcept;
    /// A layer has not received the peer's goodbye.
    [[nodiscard]] bool goodbye_missing() const noexcept;
    /// Nothing is on its way out, or waits to be.
    [[nodiscard]] bool all_sent() const noexcept;
    /// @}

    [[nodiscard]] inbox* own_inbox() const noexcept { return through_inbox_ ? inbox_ : nullptr; }
    inbox& make_inbox();

    /// From now on the application receives nothing: what arrives is dropped, up to so much. The
    /// largest number is no limit.
    void stop_receiving(std::uint64_t discard_bytes_max);
    /// What drops the bytes that the application receives no more; made when it is first needed.
    discarder& make_discarder();
    [[nodiscard]] discarder* own_discarder() noexcept {
        return extras_ && extras_->at_end && extras_->at_end->discard ? &*extras_->at_end->discard
                                                                      : nullptr;
    }
    /// False once nothing is received for the application any more.
    [[nodiscard]] bool accepts_receives() const noexcept {
        return !sealed(allowance::receiving) && !stopped_receiving_;
    }
    /// Bytes in the kernel that are the application's to receive. Behind a layer's last none are.
    [[nodiscard]] int waits_in_kernel() noexcept;
    /// True while the application has bytes to receive, in the kernel, on the way or in the inbox.
    [[nodiscard]] bool has_unread() noexcept;

    /// Looks out for the peer's end, for all who want to know; made when it is first needed.
    peer_watch& make_peer_watch();
    [[nodiscard]] peer_watch* own_peer_watch() const noexcept {
        return extras_ ? extras_->peer_end.get() : nullptr;
    }

    /// While the connection is open, `watcher` looks at every change; it may unlink itself.
    void watch_changes(change_watcher& watcher) noexcept {
        need_extras().looking.push_back(watcher);
    }
    /// A watcher that stays as long as the connection does. One of each kind.
    /// @{
    [[nodiscard]] change_watcher* at_peer_end() const noexcept {
        return extras_ ? extras_->at_peer_end.get() : nullptr;
    }
    void set_at_peer_end(std::unique_ptr<change_watcher> watcher) noexcept;
    /// @}
    /// Something has changed by itself, without a completion: bytes were taken out of the inbox, or
    /// a call has told of an error.
    void note_change() noexcept {
        if (!ending()) changed();
    }

    /// What a destroyed stream does.
    void abandon() noexcept;
    void when_dropped(const drop_policy& policy) noexcept { need_extras().dropped = policy; }
    [[nodiscard]] drop_policy when_dropped() const noexcept {
        return extras_ ? extras_->dropped : drop_policy{};
    }
    void note_canceled(cancel_reason reason) noexcept {
        canceled_by_scope_ = reason == cancel_reason::scope;
    }
    void note_in_use() noexcept { canceled_by_scope_ = false; }

    /// The application has set SO_LINGER, which endings must not depend on.
    void note_linger() noexcept { linger_set_ = true; }
    [[nodiscard]] bool linger_set() const noexcept { return linger_set_; }
    void follow(connection_follower& follower) noexcept {
        follower.set_before(last_follower_);
        last_follower_ = &follower;
    }
    /// For one that goes before the connection does.
    void unfollow(connection_follower& follower) noexcept;
    [[nodiscard]] connection_follower* last_follower() const noexcept { return last_follower_; }
    [[nodiscard]] bool marked_idle() const noexcept;

    /// The descriptor is released: gives each follower to `tell`, the last to come first. Destroys
    /// the block unless something still refers to it.
    template <class Tell>
    void closed(Tell tell) noexcept {
        note_closed();
        while (connection_follower* told = last_follower_) {
            last_follower_ = told->before();
            tell(*told);
        }
        if (references_ == 0) delete this;
    }

    void loop_ends() noexcept override { end_abandoned(*this, abandonment::canceled); }

private:
    friend class connection_operation;

    connection(loop& loop, int fd, const origin& from) noexcept;
    void note_first(first_end which) noexcept {
        if (ended_first_ == first_end::none) ended_first_ = which;
    }
    ~connection();

    /// What most connections have in flight at their end only.
    struct operations_at_end : pooled {
        std::optional<fin_operation> fin;
        std::optional<discarder> discard;
    };
    /// What most connections have at their end only, or never: an idle one keeps no place for it.
    struct extras : pooled {
        ~extras();

        ending_driver* ending = nullptr;
        operations_at_end* at_end = nullptr;
        intrusive_list<change_watcher, change_watcher> looking;
        std::unique_ptr<change_watcher> at_peer_end;
        std::unique_ptr<peer_watch> peer_end;
        std::unique_ptr<farewell> last_words;
        layered* beneath = nullptr;
        drop_policy dropped;
        std::uint64_t cut_bytes = 0;
        std::uint64_t continued_bytes = 0;
        std::uint64_t acknowledged_before = 0; // where it was more than SYN
    };
    extras& need_extras() {
        if (!extras_) extras_ = new extras;
        return *extras_;
    }

    operations_at_end& need_operations_at_end();
    void note_closed() noexcept;
    void look() noexcept;
    /// The last thing that a completion does; nothing may be touched after it.
    void changed() noexcept {
        if (!extras_) return;
        if (extras_->ending)
            extras_->ending->changed();
        else if (!extras_->looking.empty())
            look();
    }

    loop& loop_;
    int fd_;
    std::uint32_t references_ = 0;
    std::uint64_t number_;
    peer_record peer_;
    int end_errno_ = 0;
    sending_phase sending_ = sending_phase::open;
    receiving_phase receiving_ = receiving_phase::open;
    life_phase life_ = life_phase::open;
    first_end ended_first_ = first_end::none;
    allowance allowed_ = allowance::nothing;
    told_end told_ = told_end::none;
    transport_traits traits_;
    bool ipv6_ : 1;
    bool syn_counted_ : 1 = false;
    bool canceled_by_scope_ : 1 = false;
    bool linger_set_ : 1 = false;
    bool through_inbox_ : 1 = false;
    bool stopped_receiving_ : 1 = false;
    bool says_farewell_ : 1 = false;
    bool expects_goodbye_ : 1 = false;
    bool sends_stopped_ : 1 = false;
    bool has_layer_ : 1 = false;
    byte_counts bytes_;
    intrusive_list<connection_operation, connection> in_flight_;
    send_queue sends_;
    connection_follower* last_follower_ = nullptr;
    // Once a lease was asked for, everything is received through the inbox.
    union {
        connection_operation* receive_ = nullptr; // in flight, into the application's buffer
        inbox* inbox_;
    };
    extras* extras_ = nullptr;
};

inline loop& connection_operation::ring_loop() const noexcept { return connection_.on(); }

inline void connection_operation::track() noexcept { connection_.in_flight_.push_back(*this); }

/// Keeps a connection's state block.
using connection_ref = counted_ref<connection>;

} // namespace ringdown
