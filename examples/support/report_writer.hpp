#pragma once

#include <optional>
#include <string>

#include <ringdown/shutdown/ending/report.hpp>

#include "line_writer.hpp"

namespace examples {

/// Writes reports as JSON lines, each at once, from any thread, and holds up none that writes.
/// An empty name writes nothing, `-` writes to standard output.
class report_writer {
public:
    /// Errors: throws `std::system_error` naming the file when it cannot be opened.
    explicit report_writer(const std::string& file_name);

    void write(const ringdown::teardown_report& report);

    /// Waits a second for who reads them; says on standard error how many could not be written,
    /// and answers whether all were. After the last report.
    [[nodiscard]] bool finish();

private:
    std::optional<line_writer> lines_;
    bool shares_stdout_ = false;
};

} // namespace examples
