#pragma once

#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

namespace ringdown {

/// What lies between a stream and its socket: it makes bytes of the wire of what the application
/// sends, and bytes of the application of what the peer sends, and has a goodbye of its own.
///
/// One object for one connection (`stream::use_layer`), which owns it and calls it on its loop.
/// Verbs, sessions, servers and drains work above it unchanged; counts and reports are of the
/// application's bytes. The peer's FIN without its goodbye is `errc::truncated`.
/// A layer waits for nothing and knows no socket: what it has to say it appends to the buffers that
/// it is given. While much of that waits to be sent, nothing more is decoded.
/// Its errors are of the generic, the system or this library's category. One that throws has failed
/// for good, with `not_enough_memory` or else `state_not_recoverable`.
class layer {
public:
    using buffer = std::vector<std::byte>;

    layer() = default;
    layer(const layer&) = delete;
    layer& operator=(const layer&) = delete;
    virtual ~layer() = default;

    /// The connection uses it from now on: appends what is to be said first, if anything.
    virtual void begin(buffer& wire) { (void)wire; }

    /// Takes what has come over the wire, cut anywhere. Appends to `plain` what it holds for the
    /// application, and to `answer` what is to be said to the peer at once.
    ///
    /// An error is told to whoever receives, behind every byte before it. Not called again after
    /// an error, nor once the peer has said its goodbye.
    [[nodiscard]] virtual std::error_code decode(std::span<const std::byte> wire, buffer& plain,
                                                 buffer& answer) = 0;

    /// Appends to `wire` what `plain` becomes, all of it. Not called before it is `ready`. After an
    /// error nothing more is sent.
    [[nodiscard]] virtual std::error_code encode(std::span<const std::byte> plain,
                                                 buffer& wire) = 0;

    /// False while sends have to wait: a handshake is under way. Asked again after each `decode`.
    [[nodiscard]] virtual bool ready() const noexcept { return true; }
    /// True while the first part of a record has come, and its rest not yet.
    [[nodiscard]] virtual bool inside_record() const noexcept { return false; }

    /// Appends the goodbye to `wire`, or nothing where there is none to be said, as in the middle
    /// of a handshake or after an error. Called once, ahead of FIN and behind every byte that was
    /// sent; not by an abort. Nothing of the layer is sent behind it.
    virtual void say_goodbye(buffer& wire) = 0;
    [[nodiscard]] virtual bool peer_said_goodbye() const noexcept = 0;

    /// Of so many bytes at most a record is made, so that a report can tell which of them arrived.
    [[nodiscard]] virtual std::size_t record_bytes_max() const noexcept { return 16 * 1024; }
};

} // namespace ringdown
