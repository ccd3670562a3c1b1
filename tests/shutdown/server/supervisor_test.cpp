#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/listener.hpp>
#include <ringdown/shutdown/server/supervisor.hpp>

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

bool is_built_in() {
    if (!supervisor::built_in()) MESSAGE("skip: built without systemd (meson option systemd)");
    return supervisor::built_in();
}

constexpr const char* variables[] = {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

bool anything_left() {
    for (const char* each : variables)
        if (std::getenv(each)) return true;
    return std::system("env | grep -qE '^(NOTIFY_SOCKET|LISTEN_(PID|FDS|FDNAMES))='") == 0;
}

// In a process of its own, since the environment and the descriptors from 3 on are the process's.
// Answers what `body` does.
int in_child(const std::function<int()>& body) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int answer = 99;
        try {
            answer = body();
        } catch (const std::exception&) {
            answer = 98;
        }
        _exit(answer);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int listening() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    return fd >= 0 && listen(fd, 8) == 0 ? fd : -1;
}

// As a service manager passes sockets: from 3 on, not blocking, inherited.
void pass(int count, const char* names) {
    for (int i = 0; i < count; ++i)
        dup2(listening(), 3 + i);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
    if (names) setenv("LISTEN_FDNAMES", names, 1);
}

} // namespace

TEST_CASE("supervisor: without a manager nothing is told, and all is well") {
    CHECK(in_child([] {
              for (const char* each : variables)
                  unsetenv(each);
              supervisor none;
              if (none.supervised() || !none.take_sockets().empty()) return 1;
              const bool told =
                  none.ready() && none.stopping() && none.extend(1s) && none.status("here");
              return told ? 0 : 2;
          }) == 0);
}

TEST_CASE("supervisor: sockets are taken once, by name, and not for children") {
    if (!is_built_in()) return;
    CHECK(in_child([] {
              pass(2, "web:admin");
              supervisor from;
              const auto taken = from.take_sockets();
              if (taken.size() != 2 || taken[0].name != "web" || taken[1].name != "admin") return 1;
              if (!from.take_sockets().empty()) return 2;
              for (const auto& each : taken) {
                  if (!(fcntl(each.descriptor, F_GETFD) & FD_CLOEXEC)) return 3;
                  const listening_socket usable(each.descriptor); // throws if not
              }
              return anything_left() ? 4 : 0;
          }) == 0);
}

TEST_CASE("supervisor: sockets for another process are not taken") {
    if (!is_built_in()) return;
    CHECK(in_child([] {
              pass(1, nullptr);
              setenv("LISTEN_PID", "1", 1);
              supervisor from;
              if (!from.take_sockets().empty()) return 1;
              return anything_left() ? 2 : 0;
          }) == 0);
}

TEST_CASE("supervisor: its variables are not left for children, and messages still arrive") {
    if (!is_built_in()) return;
    CHECK(in_child([] {
              const std::string name = "/ringdown-supervisor-" + std::to_string(getpid());
              const auto at = address::parse("unix:@" + name.substr(1));
              const int manager = socket(AF_UNIX, SOCK_DGRAM, 0);
              if (bind(manager, at->data(), at->size()) != 0) return 1;
              setenv("NOTIFY_SOCKET", ("@" + name.substr(1)).c_str(), 1);
              supervisor of;
              if (!of.supervised() || anything_left()) return 2;
              const bool told = of.ready() && of.extend(1500ms) && of.status("two\nlines");
              if (!told) return 3;
              for (const std::string_view wanted :
                   {"READY=1", "EXTEND_TIMEOUT_USEC=1500000", "STATUS=two lines"}) {
                  char got[100];
                  const auto size = recv(manager, got, sizeof got, MSG_DONTWAIT);
                  if (size < 0 || std::string_view(got, static_cast<std::size_t>(size)) != wanted)
                      return 4;
              }
              return 0;
          }) == 0);
}

TEST_CASE("supervisor: a manager's address that is none is refused") {
    if (!is_built_in()) return;
    CHECK(in_child([] {
              setenv("NOTIFY_SOCKET", "nowhere", 1);
              try {
                  const supervisor never;
              } catch (const std::invalid_argument& refused) {
                  const std::string said = refused.what();
                  return said.find("NOTIFY_SOCKET: 'nowhere'") == 0 ? 0 : 1;
              }
              return 2;
          }) == 0);
}

TEST_CASE("supervisor: a queue that is full holds up nobody") {
    if (!is_built_in()) return;
    CHECK(in_child([] {
              const auto at = address::parse("unix:@ringdown-full-" + std::to_string(getpid()));
              const int manager = socket(AF_UNIX, SOCK_DGRAM, 0);
              if (bind(manager, at->data(), at->size()) != 0) return 1;
              setenv("NOTIFY_SOCKET", at->text().substr(sizeof "unix:" - 1).c_str(), 1);
              supervisor of;
              result<void> told;
              for (int i = 0; i < 100'000 && told; ++i)
                  told = of.stopping();
              return !told && told.error() == std::errc::operation_would_block ? 0 : 2;
          }) == 0);
}
