#pragma once

#include <string>
#include <vector>

namespace examples {

/// A page on the terminal that standard error is, redrawn in place.
///
/// Draws on the terminal's second screen, so what was there comes back at the end, also when a
/// signal ends the program or stops it for a while. Never waits: a terminal that does not take a
/// page (stopped by ^S, perhaps) gets none until it has.
/// One at a time.
class terminal {
public:
    /// Errors: throws `std::runtime_error` when standard error is no terminal.
    terminal();
    terminal(const terminal&) = delete;
    terminal& operator=(const terminal&) = delete;
    ~terminal();

    /// Shows what of the lines fits into the window as it is now; plain ASCII.
    void show(const std::vector<std::string>& lines);

private:
    void flush();

    int fd_ = -1;
    std::string pending_; // of a page that the terminal has taken in part
};

} // namespace examples
