#pragma once

#include <string>

namespace examples {

/// Occupies the standard descriptors that are closed, so that none of them becomes a socket or a
/// file of this program's; what is written to or read from one fails as if it were closed.
void keep_standard_descriptors() noexcept;

/// Prints a line on standard output at once; gives up where that is not read for a second.
void print_line(const std::string& line);

/// Why what was printed, by `print_line` or otherwise, is not all written; 0 if it is.
[[nodiscard]] int output_error();

} // namespace examples
