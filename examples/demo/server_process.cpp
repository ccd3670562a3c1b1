#include "server_process.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

constexpr auto start_time_max = 10s;
constexpr std::string_view greeting = "listening on ";

[[noreturn]] void exec_server(std::vector<std::string> words, int output, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(127); // the parent died before the line above
    }
    ::dup2(output, STDOUT_FILENO);
    std::vector<char*> arguments;
    for (auto& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    const auto why = fmt::format("{}: {}\n", words.front(), std::strerror(errno));
    [[maybe_unused]] const auto put = ::write(STDERR_FILENO, why.data(), why.size());
    ::_exit(127);
}

} // namespace

server_process::server_process(const std::filesystem::path& program,
                               const std::filesystem::path& reports, std::string_view drain,
                               const std::vector<std::string>& more) {
    start(program, reports, drain, more);
    try {
        await_listening();
    } catch (...) {
        kill(); // a constructor that throws has no destructor
        ::waitpid(pid_, nullptr, 0);
        throw;
    }
}

server_process::~server_process() {
    if (!status_) {
        kill();
        ::waitpid(pid_, nullptr, 0);
    }
}

void server_process::start(const std::filesystem::path& program,
                           const std::filesystem::path& reports, std::string_view drain,
                           const std::vector<std::string>& more) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::system_category(), "pipe");
    }
    output_ = descriptor(ends[0]);
    const descriptor input(ends[1]);
    ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    const auto parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) {
        throw std::system_error(errno, std::system_category(), "fork");
    }
    if (pid_ == 0) {
        std::vector words{program.string(),           std::string("--listen"),
                          std::string("127.0.0.1:0"), std::string("--reports"),
                          reports.string(),           std::string("--drain"),
                          std::string(drain)};
        words.insert(words.end(), more.begin(), more.end());
        exec_server(std::move(words), input.get(), parent);
    }
}

void server_process::await_listening() {
    const auto deadline = std::chrono::steady_clock::now() + start_time_max;
    while (text_.find('\n') == std::string::npos) {
        const bool ended = has_ended();
        if (ended && text_.find('\n') == std::string::npos) {
            const auto why = complaint();
            throw std::runtime_error(fmt::format("the server ended before it listened ({})",
                                                 why.empty() ? "exit 0" : why));
        }
        if (std::chrono::steady_clock::now() >= deadline) {
            throw std::runtime_error("the server does not listen after 10 s");
        }
        pollfd waiting{.fd = output_.get(), .events = POLLIN, .revents = 0};
        ::poll(&waiting, 1, 20);
    }
    const auto line = text_.substr(0, text_.find('\n'));
    const auto address =
        line.starts_with(greeting) ? parse_address(line.substr(greeting.size())) : std::nullopt;
    if (!address) {
        throw std::runtime_error(
            fmt::format("the server's first line is '{}', not '{}127.0.0.1:PORT'", line, greeting));
    }
    address_ = *address;
}

void server_process::drain() const {
    if (!status_) {
        ::kill(pid_, SIGTERM);
    }
}

void server_process::kill() const {
    if (!status_) {
        ::kill(pid_, SIGKILL);
    }
}

bool server_process::has_ended() {
    // Asked first, so that all it printed before it ended is read afterwards.
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
        status_ = status;
    }
    read_output();
    return status_.has_value();
}

void server_process::read_output() {
    std::array<char, 4096> buffer{};
    ssize_t got = 0;
    while ((got = ::read(output_.get(), buffer.data(), buffer.size())) > 0) {
        text_.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

std::string server_process::complaint() const {
    if (!status_) {
        return "it is still running";
    }
    if (WIFSIGNALED(*status_)) {
        return fmt::format("killed by signal {}, {}", WTERMSIG(*status_),
                           strsignal(WTERMSIG(*status_)));
    }
    return WEXITSTATUS(*status_) == 0 ? "" : fmt::format("exit {}", WEXITSTATUS(*status_));
}

std::string server_process::last_line() const {
    if (!text_.ends_with('\n')) {
        return {}; // cut off in the middle of it
    }
    const auto end = text_.size() - 1;
    const auto begin = text_.rfind('\n', end == 0 ? 0 : end - 1);
    return text_.substr(begin == std::string::npos ? 0 : begin + 1,
                        end - (begin == std::string::npos ? 0 : begin + 1));
}

} // namespace ringdown_demo
