#include <cstdlib>
#include <iostream>

#include <doctest/doctest.h>

#include "run_listener.hpp"

// With RINGDOWN_TEST_PROGRESS in the environment, each case's beginning and end is a line: whoever
// reads along knows what runs, also where it does not end.

namespace ringdown::testing {

namespace {

class progress final : public run_listener {
public:
    explicit progress(const doctest::ContextOptions&) {}

    void test_case_start(const doctest::TestCaseData& which) override {
        if (asked_) std::cout << "@@ begins " << which.m_name << std::endl;
    }
    void test_case_end(const doctest::CurrentTestCaseStats& done) override {
        if (!asked_) return;
        std::cout << (done.failure_flags ? "@@ failed " : "@@ passed ") << done.seconds
                  << std::endl;
    }

private:
    bool asked_ = std::getenv("RINGDOWN_TEST_PROGRESS") != nullptr;
};

} // namespace

REGISTER_LISTENER("progress", 2, progress);

} // namespace ringdown::testing
