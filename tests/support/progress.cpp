#include <cstdlib>
#include <iostream>

#include <doctest/doctest.h>

// With RINGDOWN_TEST_PROGRESS in the environment, each case's beginning and end is a line: whoever
// reads along knows what runs, also where it does not end.

namespace ringdown::testing {

namespace {

class progress final : public doctest::IReporter {
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

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}

private:
    bool asked_ = std::getenv("RINGDOWN_TEST_PROGRESS") != nullptr;
};

} // namespace

REGISTER_LISTENER("progress", 2, progress);

} // namespace ringdown::testing
