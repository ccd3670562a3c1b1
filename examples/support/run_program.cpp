#include "run_program.hpp"

#include <csignal>
#include <cstring>
#include <exception>
#include <string>

#include "output.hpp"

namespace examples {
namespace {

// The exit status, unless that says less than what is told here.
int if_all_is_written(int status, const command_line::program& app) {
    const int error = output_error();
    if (error == 0) return status;
    app.complain(std::string("cannot write to standard output: ") + std::strerror(error));
    return status == 0 ? 1 : status;
}

} // namespace

int run_program(command_line::program& app, int argc, char** argv,
                const std::function<int()>& main_code) {
    std::signal(SIGPIPE, SIG_IGN); // of standard output; sockets of the library raise none
    keep_standard_descriptors();
    try {
        if (const auto status = app.read(argc, argv))
            return *status == 0 ? if_all_is_written(0, app) : *status;
        return if_all_is_written(main_code(), app);
    } catch (const std::exception& failed) {
        app.complain(failed.what());
    }
    return 2;
}

} // namespace examples
