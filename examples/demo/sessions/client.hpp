#pragma once

#include "kinds.hpp"

#include "../record.hpp"
#include "../sockets.hpp"

#include <cstdint>
#include <random>
#include <string>
#include <unordered_map>

namespace ringdown_demo {

/// What the load saw of one session, from its own socket only.
struct session_record {
    std::size_t kind = 0;       ///< index into `session_kinds`
    std::string address;        ///< HOST:PORT of the client; unique within a run
    std::uint64_t sent = 0;     ///< requests handed to the kernel, the last one whole or not
    std::uint64_t answered = 0; ///< of these, answered whole and right, once
    std::uint64_t again = 0;    ///< answers to what was answered already
    std::uint64_t unasked = 0;  ///< answers to what was never asked, or not so
    bool wrong = false;         ///< a byte that is none of the answer's
    bool inside_answer = false; ///< it ended within an answer
    bool end_read = false;      ///< the server's FIN, behind all that it had sent
    bool reset_seen = false;
    bool reset_sent = false;
    clock::time_point acted{}; ///< when it did what its kind does; zero: it did not
    bool over = false;
};

/// One client: a socket that does not wait, and what it has asked.
class session_client {
public:
    /// Connects; throws `std::system_error` when that cannot even be tried.
    session_client(session_record& seen, const sockaddr_in& source, const sockaddr_in& server,
                   clock::time_point acts_at, std::uint64_t seed);

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool wants_to_write() const { return !output_.empty() || may_ask(); }
    /// Does what it can without waiting.
    void step();

private:
    [[nodiscard]] const session_kind& kind() const { return session_kinds[seen_.kind]; }
    [[nodiscard]] bool may_ask() const;
    void act();
    void ask();
    void write();
    void read();
    void take_answers();
    void begin_answer(const std::string& line);
    void finish_answer();
    void end();

    session_record& seen_;
    descriptor fd_;
    clock::time_point acts_at_;
    std::mt19937_64 dice_;
    std::string output_;
    std::string input_;
    bool finished_ = false;                            // its own FIN was sent
    bool stuck_ = false;                               // in a line that is no answer's
    std::uint64_t answering_ = 0;                      // whose bytes come now; 0: none's
    std::uint64_t bytes_left_ = 0;                     // of that answer
    std::unordered_map<std::uint64_t, unsigned> open_; // id and bytes asked for
};

} // namespace ringdown_demo
