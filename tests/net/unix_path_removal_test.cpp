#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/listener.hpp>

#include "support/child.hpp"
#include "support/fixture_net.hpp"
#include "support/scratch.hpp"
#include "support/unix_paths.hpp"

using namespace ringdown;
using namespace ringdown::testing;
namespace fs = std::filesystem;

// The file of a listening socket goes when the socket does, and nobody else's.

TEST_CASE("unix path: only the socket's own file is removed") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    SUBCASE("a successor's, which unlinked it and bound") {
        auto old = std::make_unique<listening_socket>(at_path(path));
        fs::remove(path);
        const listening_socket young(at_path(path));
        old.reset();
        CHECK(can_connect(path));
    }
    SUBCASE("a successor's, which was renamed over it") {
        auto old = std::make_unique<listening_socket>(at_path(path));
        listen_options kept;
        kept.path.keep = true;
        const listening_socket young(at_path(path + ".new"), kept);
        fs::rename(path + ".new", path);
        old.reset();
        CHECK(can_connect(path));
    }
    SUBCASE("a stranger's file") {
        auto old = std::make_unique<listening_socket>(at_path(path));
        fs::remove(path);
        std::ofstream(path) << "precious";
        old.reset();
        CHECK(fs::is_regular_file(path));
    }
    SUBCASE("the parent's, by a forked child") {
        const listening_socket mine(at_path(path));
        auto inherited = std::make_unique<listening_socket>(at_path(path + ".2"));
        CHECK(in_child([&] {
                  inherited.reset();
                  return 0;
              }) == 0);
        CHECK(can_connect(path + ".2"));
    }
}

TEST_CASE("unix path: a relative one is removed after the working folder has changed") {
    CHECK(in_child([] {
              const scratch folder;
              const std::string path = folder.file("socket");
              if (::chdir(fs::path(path).parent_path().c_str()) < 0) return 2;
              {
                  const listening_socket here(at_path("socket"));
                  if (!fs::is_socket(path) || ::chdir("/") < 0) return 3;
              }
              return fs::exists(path) ? 1 : 0;
          }) == 0);
}

TEST_CASE("unix path: keep leaves it, and the next start takes it over") {
    const leak_guard unchanged;
    const scratch folder;
    const std::string path = folder.file("socket");
    listen_options options;
    options.path.keep = true;
    for (int i = 0; i < 2; ++i) {
        const listening_socket here(at_path(path), options);
        CHECK(can_connect(path));
    }
    CHECK(fs::is_socket(path));
}

TEST_CASE("unix path: is gone when a listener is, although its accept has not ended yet") {
    test_loop on;
    const scratch folder;
    const std::string path = folder.file("socket");
    on.run([&]() -> task<void> {
        for (const bool closed : {true, false}) {
            auto from = std::make_unique<listener>(
                on.loop, std::make_shared<listening_socket>(at_path(path)));
            on.loop.spawn([](listener& waits) -> task<void> {
                const auto nobody = co_await waits.accept();
                CHECK(!nobody);
            }(*from));
            co_await turns(2);
            CHECK(fs::exists(path));
            from->close();
            CHECK_FALSE(fs::exists(path));
            co_await turns(4);
            if (closed) continue;
            from.reset();
        }
        // Who shares the socket has its path, too.
        const auto socket = std::make_shared<listening_socket>(at_path(path));
        {
            const listener one(on.loop, socket);
        }
        CHECK(fs::exists(path));
    });
    CHECK_FALSE(fs::exists(path));
}

TEST_CASE("unix path: a successor can start while the old server still serves its last clients") {
    test_loop on;
    const scratch folder;
    const std::string path = folder.file("socket");
    on.run([&]() -> task<void> {
        listener from(on.loop, std::make_shared<listening_socket>(at_path(path)));
        auto waiting = connect_peer(from.local());
        CHECK(co_await from.stop());
        const listening_socket young(at_path(path));
        CHECK(can_connect(path));
        auto served = co_await from.accept();
        CHECK(served);
    });
}
