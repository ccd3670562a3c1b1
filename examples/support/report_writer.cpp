#include "report_writer.hpp"

#include <cstdio>

#include <unistd.h>

#include "report_json.hpp"

namespace examples {

using namespace std::chrono_literals;

report_writer::report_writer(const std::string& file_name) {
    if (file_name.empty()) return;
    shares_stdout_ = file_name == "-";
    if (shares_stdout_)
        lines_.emplace(STDOUT_FILENO);
    else
        lines_.emplace(file_name);
}

void report_writer::write(const ringdown::teardown_report& report) {
    // What others printed comes first; a server has nothing left there, and does not wait.
    if (shares_stdout_) std::fflush(stdout);
    if (lines_) lines_->write(to_json(report).dump() + "\n");
}

bool report_writer::finish() {
    const auto unwritten = lines_ ? lines_->finish(1s) : 0;
    if (unwritten > 0)
        std::fprintf(stderr, "%llu reports could not be written\n",
                     static_cast<unsigned long long>(unwritten));
    return unwritten == 0;
}

} // namespace examples
