#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace ringdown_demo {

using clock = std::chrono::steady_clock;

/// How the peer itself ended its side.
enum class own_end { none, finished, reset, vanished };

/// What the load saw of one connection, from its own socket only.
///
/// Everything in here is a fact of the peer's kernel. Where something cannot be known from here,
/// the field says which of its values is certain.
struct record {
    std::size_t number = 0;   ///< of the attempt
    std::size_t kind = 0;     ///< index into `all_kinds()`
    std::string address;      ///< HOST:PORT of the peer; unique within a run
    std::uint64_t amount = 0; ///< bytes asked for, or to be echoed

    bool established = false;     ///< connect succeeded
    std::uint64_t written = 0;    ///< bytes that its kernel took, the request line included
    std::uint64_t line_bytes = 0; ///< how many of them are the request line
    bool server_answered = false; ///< true: the server's kernel acknowledged a byte or sent one
    std::uint64_t read = 0;
    std::uint64_t queued = 0; ///< received, acknowledged, never read, at its end
    bool sealed = false;      ///< arrivals were stopped before `queued` was measured
    std::optional<std::uint64_t> wrong_byte_at; ///< first byte that was not what was asked for
    bool counts_differ = false; ///< read + queued is not what the kernel says it received

    bool end_received = false;     ///< the server's FIN reached this kernel
    bool end_read = false;         ///< ... and the peer read it
    bool reset_seen = false;       ///< a reset came from the server
    int error = 0;                 ///< any other error of the socket
    own_end ended = own_end::none; ///< the last thing that it did itself
    bool finished = false;         ///< it sent FIN
    bool ended_after_end = false;  ///< its FIN or reset came after it had read the server's FIN
    bool cut_short = false;        ///< still open when the server was gone

    clock::time_point opened{};    ///< connect was called
    clock::time_point connected{}; ///< ... and was seen to have succeeded
    /// Own FIN known to be acknowledged since; nothing means that it is not known.
    std::optional<clock::time_point> finish_acknowledged;
    clock::time_point over{}; ///< end seen, or brought about

    /// Bytes that the peer's kernel took in order, all that it can ever have acknowledged.
    [[nodiscard]] std::uint64_t heard() const { return read + queued; }

    /// Both directions ended with FIN and both FINs are known to have arrived.
    [[nodiscard]] bool clean() const {
        return end_received && finish_acknowledged && !reset_seen && ended == own_end::finished;
    }
};

/// The record as one JSON line; times are milliseconds since `start`.
[[nodiscard]] std::string to_json(const record& seen, clock::time_point start);

} // namespace ringdown_demo
