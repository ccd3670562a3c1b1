#include "run_program.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "output.hpp"

namespace examples {
namespace {

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
}

// What is required is missed before what is unknown; who misspelt an option wants to hear of that.
std::string complaint(const CLI::RequiredError& missed, const CLI::App& app) {
    const auto unknown = app.remaining(true);
    for (const std::string& each : unknown)
        if (each.size() > 1 && each.starts_with('-') && each != "--")
            return "there is no option '" + each + "'";
    const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty() || !app.get_subcommands().empty()) return missed.what();
    std::string known;
    for (const CLI::App* each : commands)
        known += (known.empty() ? "" : " or ") + each->get_name();
    return "a command is wanted, " + known + "; " +
           (unknown.empty() ? "there is none" : "'" + unknown.front() + "' is none");
}

// The exit status, unless that says less than what is told here.
int if_all_is_written(int status, const CLI::App& app) {
    const int error = output_error();
    if (error == 0) return status;
    std::fprintf(stderr, "%s: cannot write to standard output: %s\n", app.get_name().c_str(),
                 std::strerror(error));
    return status == 0 ? 1 : status;
}

} // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& main_code) {
    std::signal(SIGPIPE, SIG_IGN); // of standard output; sockets of the library raise none
    keep_standard_descriptors();
    try {
        app.parse(argc, argv);
        return if_all_is_written(main_code(), app);
    } catch (const CLI::CallForHelp&) {
        std::fputs(app.help().c_str(), stdout);
        return if_all_is_written(0, app);
    } catch (const CLI::RequiredError& missed) {
        std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(),
                     one_line(complaint(missed, app)).c_str());
    } catch (const CLI::ParseError& refused) {
        std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), one_line(refused.what()).c_str());
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), one_line(failed.what()).c_str());
    }
    return 2;
}

} // namespace examples
