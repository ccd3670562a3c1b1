#include "report_writer.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <system_error>

#include "report_json.hpp"

namespace examples {

report_writer::report_writer(const std::string& file_name) {
    if (file_name.empty()) return;
    if (file_name == "-") {
        file_ = stdout;
        return;
    }
    // Appending, so that lines of two programs that share a file never overwrite each other.
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC;
    const int fd = open(file_name.c_str(), flags, 0644);
    if (fd >= 0) file_ = fdopen(fd, "a");
    if (!file_)
        throw std::system_error(errno, std::generic_category(),
                                "cannot write reports to " + file_name);
}

report_writer::~report_writer() {
    if (file_ && file_ != stdout) std::fclose(file_);
}

void report_writer::write(const ringdown::teardown_report& report) {
    if (!file_) return;
    const std::string line = to_json(report).dump() + "\n";
    const std::lock_guard lock(mutex_);
    const bool written =
        std::fwrite(line.data(), 1, line.size(), file_) == line.size() && std::fflush(file_) == 0;
    if (written || failed_) return;
    failed_ = true;
    std::fprintf(stderr, "reports cannot be written: %s\n", std::strerror(errno));
}

} // namespace examples
