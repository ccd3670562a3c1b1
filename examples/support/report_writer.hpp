#pragma once

#include <cstdio>
#include <mutex>
#include <string>

#include <ringdown/shutdown/report.hpp>

namespace examples {

/// Writes reports as JSON lines, each flushed, from any thread. An empty name writes nothing,
/// `-` writes to standard output.
class report_writer {
public:
    /// Throws `std::system_error` naming the file when it cannot be opened.
    explicit report_writer(const std::string& file_name);
    report_writer(const report_writer&) = delete;
    report_writer& operator=(const report_writer&) = delete;
    ~report_writer();

    void write(const ringdown::teardown_report& report);

private:
    std::mutex mutex_;
    std::FILE* file_ = nullptr;
    bool failed_ = false;
};

} // namespace examples
