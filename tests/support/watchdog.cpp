#include "watchdog.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include "run_listener.hpp"

// A case that hangs is named, and ends its program: doctest has no limit for one case. An alarm
// needs no thread, is not inherited by a child, and changes nothing until it rings.

namespace ringdown::testing {

unsigned patience() noexcept {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr unsigned usual = 4;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    constexpr unsigned usual = 4;
#else
    constexpr unsigned usual = 1;
#endif
#else
    constexpr unsigned usual = 1;
#endif
    const char* asked = std::getenv("RINGDOWN_TEST_PATIENCE");
    const unsigned long times = asked ? std::strtoul(asked, nullptr, 10) : usual;
    return static_cast<unsigned>(std::clamp(times, 1UL, 1000UL));
}

namespace {

constexpr unsigned case_seconds = 120;

char last_words[512]; // written when the case begins, so that the handler only prints

void out_of_time(int) {
    static_cast<void>(!::write(STDOUT_FILENO, last_words, std::strlen(last_words)));
    ::_exit(1);
}

class watchdog final : public run_listener {
public:
    explicit watchdog(const doctest::ContextOptions&) {}

    void test_case_start(const doctest::TestCaseData& which) override {
        const unsigned limit = case_seconds * patience();
        std::snprintf(last_words, sizeof last_words,
                      "\n%s:%u: watchdog: still running after %u s, ended: %s\n",
                      which.m_file.c_str(), which.m_line, limit, which.m_name);
        std::signal(SIGALRM, out_of_time);
        ::alarm(limit);
    }
    void test_case_end(const doctest::CurrentTestCaseStats&) override { ::alarm(0); }
};

} // namespace

REGISTER_LISTENER("watchdog", 1, watchdog);

} // namespace ringdown::testing
