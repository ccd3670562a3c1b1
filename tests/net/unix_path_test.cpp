#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/listener.hpp>

#include "support/fixture_net.hpp"
#include "support/fixture_system.hpp"
#include "support/scratch.hpp"
#include "support/unix_paths.hpp"

using namespace ringdown;
using namespace ringdown::testing;
namespace fs = std::filesystem;

namespace {

/// A plain socket that is bound there; what it leaves behind when it is closed is stale.
class stranger {
public:
    explicit stranger(const std::string& path, int type = SOCK_STREAM)
        : fd_(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
        const address at = at_path(path);
        REQUIRE(::bind(fd_, at.data(), at.size()) == 0);
    }
    ~stranger() { ::close(fd_); }
    void listen() const { REQUIRE(::listen(fd_, 8) == 0); }

private:
    int fd_;
};

mode_t mode_of(const std::string& path) {
    struct stat found{};
    REQUIRE(::lstat(path.c_str(), &found) == 0);
    return found.st_mode & 07777;
}

class umask_of {
public:
    explicit umask_of(mode_t mask) : before_(::umask(mask)) {}
    ~umask_of() { ::umask(before_); }

private:
    mode_t before_;
};

/// Notes the permissions that the file has when the socket begins to listen, and before that.
class watched_modes final : public forwarding_system {
public:
    explicit watched_modes(std::string path) : path_(std::move(path)) {}
    int bind(int fd, const sockaddr* at, socklen_t bytes) noexcept override {
        const int done = forwarding_system::bind(fd, at, bytes);
        if (done == 0) bound = mode_of(path_);
        return done;
    }
    int listen(int fd, int backlog) noexcept override {
        listening = mode_of(path_);
        return forwarding_system::listen(fd, backlog);
    }
    mode_t bound = 0, listening = 0;

private:
    std::string path_;
};

} // namespace

TEST_CASE("unix path: one that a dead server left is taken over") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        {
            const stranger dead(path, type);
        }
        REQUIRE(fs::is_socket(path));
        const listening_socket here(at_path(path));
        CHECK(can_connect(path));
    }
    CHECK_FALSE(fs::exists(path));
}

TEST_CASE("unix path: one whose server was killed is taken over at once") {
    const scratch folder;
    const std::string path = folder.file("socket");
    for (int i = 0; i < 5; ++i) {
        int ready[2];
        REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            loop on; // the kernel closes what a ring has accepts on later than the process ends
            auto main = [](loop& turning, const std::string& where, int tell) -> task<void> {
                listener from(turning, std::make_shared<listening_socket>(at_path(where)));
                turning.post([tell] { static_cast<void>(::write(tell, "r", 1) < 0); });
                const auto nobody = co_await from.accept();
            };
            on.run(main(on, path, ready[1]));
            ::_exit(0);
        }
        char byte = 0;
        REQUIRE(::read(ready[0], &byte, 1) == 1);
        ::close(ready[0]);
        ::close(ready[1]);
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        CHECK(fs::is_socket(path));
        CHECK_NOTHROW(listening_socket{at_path(path)});
    }
}

TEST_CASE("unix path: one that somebody has open is not, whether it listens or will") {
    const leak_guard unchanged;
    const scratch folder;
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        CAPTURE(type);
        const std::string path = folder.file("socket-" + std::to_string(type));
        const stranger open(path, type);
        CHECK_THROWS_AS(listening_socket{at_path(path)}, std::system_error);
        CHECK(fs::is_socket(path));
    }
    const std::string path = folder.file("socket-" + std::to_string(SOCK_STREAM) + "-listening");
    const stranger server(path);
    server.listen();
    CHECK_THROWS_WITH_AS(listening_socket{at_path(path)}, doctest::Contains(path.c_str()),
                         std::system_error);
    CHECK(can_connect(path));
}

TEST_CASE("unix path: what is no socket is never removed") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string file = folder.file("precious"), link = folder.file("link");
    std::ofstream(file) << "precious";
    fs::create_symlink(folder.file("nowhere"), link);
    fs::create_directory(folder.file("folder"));
    for (const std::string& path : {file, link, folder.file("folder")}) {
        CAPTURE(path);
        CHECK_THROWS_AS(listening_socket{at_path(path)}, std::system_error);
        CHECK(fs::exists(fs::symlink_status(path)));
    }
    // A link to a stale socket is no socket either.
    {
        const stranger dead(folder.file("nowhere"));
    }
    CHECK_THROWS_AS(listening_socket{at_path(link)}, std::system_error);
    CHECK(fs::is_socket(folder.file("nowhere")));
}

TEST_CASE("unix path: take_over = false leaves a stale one") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    {
        const stranger dead(path);
    }
    listen_options options;
    options.path.take_over = false;
    CHECK_THROWS_AS(listening_socket(at_path(path), options), std::system_error);
    CHECK(fs::is_socket(path));
}

TEST_CASE("unix path: has the mode that is asked for, and never a wider one") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    for (const mode_t mask : {0, 077, 0777})
        for (const mode_t mode : {0600, 0660, 0666, 0}) {
            CAPTURE(mask);
            CAPTURE(mode);
            const umask_of other(mask);
            watched_modes calls(path);
            listen_options options;
            options.path.mode = mode;
            const listening_socket here(at_path(path), options, calls);
            CHECK((calls.bound & ~mode) == 0);
            CHECK(calls.listening == mode);
            CHECK(mode_of(path) == mode);
        }
    const umask_of usual(022);
    const listening_socket here(at_path(path));
    CHECK(mode_of(path) == 0755);
}

TEST_CASE("unix path: of many that start at once on a stale one, one gets it") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    for (int round = 0; round < 20; ++round) {
        {
            const stranger dead(path);
        }
        std::atomic<int> won{0};
        std::vector<std::unique_ptr<listening_socket>> made(4);
        std::vector<std::thread> starting;
        for (auto& each : made)
            starting.emplace_back([&each, &won, &path] {
                try {
                    each = std::make_unique<listening_socket>(at_path(path));
                    ++won;
                } catch (const std::system_error&) {
                }
            });
        for (auto& each : starting)
            each.join();
        CHECK(won == 1);
        CHECK(can_connect(path));
    }
}

TEST_CASE("unix path: nothing is taken over where somebody holds the folder") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    {
        const stranger dead(path);
    }
    const int held = ::open(fs::path(path).parent_path().c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(::flock(held, LOCK_EX) == 0);
    CHECK_THROWS_AS(listening_socket{at_path(path)}, std::system_error);
    CHECK(fs::is_socket(path));
    fs::remove(path);
    {
        const listening_socket here(at_path(path));
    } // and a free one is bound, and removed
    CHECK_FALSE(fs::exists(path));
    ::close(held);
}
