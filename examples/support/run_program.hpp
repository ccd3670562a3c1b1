#pragma once

#include <functional>

#include "../../command_line/command_line.hpp"

namespace examples {

/// Runs `main_code()` after reading the command line; prints what went wrong, bad options or a
/// failed set-up, as one line, and answers the exit status: 2 then, 0 for help, 1 when standard
/// output could not be written. Descriptors 0 to 2 that are closed are occupied first.
int run_program(command_line::program& app, int argc, char** argv,
                const std::function<int()>& main_code);

} // namespace examples
