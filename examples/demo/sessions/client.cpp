#include "client.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

#include <fmt/format.h>
#include <sys/socket.h>

namespace ringdown_demo {

session_client::session_client(session_record& seen, const sockaddr_in& source,
                               const sockaddr_in& server, clock::time_point acts_at,
                               std::uint64_t seed)
    : seen_(seen), fd_(bound_socket(source, kind().read_bytes < 65536 ? 65536 : 0)),
      acts_at_(acts_at), dice_(seed) {
    seen_.address = to_string(source);
    if (!fd_.is_open() ||
        (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0 &&
         errno != EINPROGRESS)) {
        throw std::system_error(errno, std::system_category(), "cannot open a session");
    }
}

void session_client::step() {
    if (kind().acts != client_act::none && seen_.acted == clock::time_point{} &&
        clock::now() >= acts_at_ && seen_.sent > 0) {
        act();
    }
    if (!seen_.over) {
        ask();
        write();
    }
    if (!seen_.over) {
        read();
    }
}

// In whatever is in progress just then.
void session_client::act() {
    seen_.acted = clock::now();
    if (kind().acts == client_act::reset) {
        seen_.reset_sent = true;
        reset_on_close(fd_.get());
        end();
        return;
    }
    if (kind().acts == client_act::cut) {
        output_ += fmt::format("{} 1", seen_.sent + 1);
    }
    finished_ = true; // `write` sends FIN behind it
}

bool session_client::may_ask() const {
    return !finished_ && !seen_.end_read && open_.size() < kind().in_flight;
}

void session_client::ask() {
    while (may_ask() && output_.size() < 4096) {
        const auto longest = static_cast<unsigned>(kind().longest.count());
        // Of one kind every request takes its time; of the others up to that.
        const auto time = longest > 10'000 ? longest : dice_() % (longest + 1);
        const auto bytes = static_cast<unsigned>(dice_() % (kind().answer_bytes_max + 1));
        const auto id = ++seen_.sent;
        open_.emplace(id, bytes);
        output_ += fmt::format("{} {} {}\n", id, time, bytes);
    }
}

void session_client::write() {
    if (!output_.empty()) {
        const auto put = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
        if (put > 0) {
            output_.erase(0, static_cast<std::size_t>(put));
        }
    }
    if (finished_ && output_.empty() && !seen_.end_read) {
        ::shutdown(fd_.get(), SHUT_WR);
    }
}

void session_client::read() {
    const auto had = input_.size();
    input_.resize(had + kind().read_bytes);
    const auto got = ::recv(fd_.get(), input_.data() + had, kind().read_bytes, 0);
    const int why = errno;
    input_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) {
        take_answers();
    } else if (got == 0) {
        if (!seen_.end_read) {
            seen_.end_read = true;
            seen_.inside_answer = answering_ != 0 || !input_.empty();
        }
        // Behind FIN, a reset shows in no receive.
        seen_.reset_seen = take_error(fd_.get()) != 0;
        if (kind().finishes || seen_.reset_seen) {
            end();
        }
    } else if (why != EAGAIN && why != EINTR && why != EINPROGRESS && why != ENOTCONN) {
        seen_.reset_seen = true;
        end();
    }
}

void session_client::take_answers() {
    std::size_t place = 0;
    while (!stuck_ && place < input_.size()) {
        if (answering_ == 0) {
            const auto line_end = input_.find('\n', place);
            if (line_end == std::string::npos) {
                break;
            }
            begin_answer(input_.substr(place, line_end - place));
            place = line_end + 1;
        }
        if (answering_ != 0) {
            const auto size = open_[answering_];
            for (; bytes_left_ > 0 && place < input_.size(); ++place, --bytes_left_) {
                const auto expected = (answering_ + size - bytes_left_) % 251;
                seen_.wrong |= static_cast<unsigned char>(input_[place]) != expected;
            }
            if (bytes_left_ == 0) {
                finish_answer();
            }
        }
    }
    input_.erase(0, place);
}

void session_client::begin_answer(const std::string& line) {
    std::uint64_t id = 0;
    const auto* const line_end = line.data() + line.size();
    const auto rest = std::from_chars(line.data(), line_end, id).ptr;
    const auto asked = open_.find(id);
    if (asked == open_.end()) {
        ++(id > 0 && id <= seen_.sent ? seen_.again : seen_.unasked);
    } else if (std::string(rest, line_end) != fmt::format(" {}", asked->second)) {
        ++seen_.unasked;
    } else {
        answering_ = id;
        bytes_left_ = asked->second;
        return;
    }
    stuck_ = true; // where the next one begins is not known
}

void session_client::finish_answer() {
    ++seen_.answered;
    open_.erase(answering_);
    answering_ = 0;
}

void session_client::end() {
    seen_.over = true;
    fd_.close();
}

} // namespace ringdown_demo
