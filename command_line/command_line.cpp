#include "command_line.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

#include <CLI/CLI.hpp>

namespace command_line {
namespace {

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

} // namespace

option& option::required() {
    parsed_->required();
    return *this;
}

option& option::named(const std::string& value) {
    parsed_->type_name(value);
    return *this;
}

option& option::with_default_shown() {
    parsed_->capture_default_str();
    return *this;
}

option& option::one_of(const std::vector<std::string>& allowed) {
    parsed_->check(CLI::IsMember(allowed));
    return *this;
}

option& option::within(double least, double most) {
    parsed_->check(CLI::Range(least, most));
    return *this;
}

option& option::within_whole(std::int64_t least, std::int64_t most) {
    parsed_->check(CLI::Range(least, most));
    return *this;
}

option command::add(const std::string& name, std::string& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, std::vector<std::string>& values,
                    const std::string& description) {
    return option(app_->add_option(name, values, description));
}

option command::add(const std::string& name, int& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, std::uint16_t& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, std::uint32_t& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, std::uint64_t& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, double& value, const std::string& description) {
    return option(app_->add_option(name, value, description));
}

option command::add(const std::string& name, taker take, const std::string& description) {
    return option(app_->add_option_function<std::string>(name, std::move(take), description));
}

option command::add_flag(const std::string& name, bool& value, const std::string& description) {
    return option(app_->add_flag(name, value, description));
}

void command::allow_rest() { app_->allow_extras(); }

std::vector<std::string> command::rest() const { return app_->remaining(); }

bool command::given() const { return app_->parsed(); }

program::program(const std::string& description, const std::string& name)
    : command(nullptr), owned_(std::make_unique<CLI::App>(description, name)) {
    app_ = owned_.get();
}

program::~program() = default;

command program::add_command(const std::string& name, const std::string& description) {
    app_->require_subcommand(1);
    return command(app_->add_subcommand(name, description));
}

const std::string& program::name() const { return app_->get_name(); }

std::optional<int> program::read(int argc, char** argv) {
    try {
        app_->parse(argc, argv);
        return {};
    } catch (const CLI::CallForHelp&) {
        std::fputs(app_->help().c_str(), stdout);
        return 0;
    } catch (const CLI::RequiredError& missed) {
        complain(complaint(missed, *app_));
    } catch (const std::exception& refused) {
        complain(refused.what());
    }
    return 2;
}

void program::complain(const std::string& what) const {
    std::string line = what;
    std::ranges::replace(line, '\n', ' ');
    std::fprintf(stderr, "%s: %s\n", app_->get_name().c_str(), line.c_str());
}

} // namespace command_line
