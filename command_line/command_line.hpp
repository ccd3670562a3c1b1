#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
} // namespace CLI

/// The command lines of examples and benches. CLI11 reads them; it takes a compiler many seconds,
/// so that only one file sees it.
namespace command_line {

/// An option that was just added, to be told more of.
class option {
public:
    option& required();
    /// What help calls its value.
    option& named(const std::string& value);
    /// Help tells the value that it has before the command line is read.
    option& with_default_shown();
    option& one_of(const std::vector<std::string>& allowed);
    /// Both ends are allowed.
    /// @{
    option& within(double least, double most);
    option& within(std::integral auto least, std::integral auto most) {
        return within_whole(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most));
    }
    /// @}

private:
    friend class command;
    explicit option(CLI::Option* parsed) : parsed_(parsed) {}
    option& within_whole(std::int64_t least, std::int64_t most);

    CLI::Option* parsed_;
};

/// What a program is told: options by names such as `--bytes`, words in order by any other name.
class command {
public:
    /// Adds an option for a value, which must live until the command line was read.
    /// @{
    option add(const std::string& name, std::string& value, const std::string& description);
    option add(const std::string& name, std::vector<std::string>& values,
               const std::string& description);
    option add(const std::string& name, int& value, const std::string& description);
    option add(const std::string& name, std::uint16_t& value, const std::string& description);
    option add(const std::string& name, std::uint32_t& value, const std::string& description);
    option add(const std::string& name, std::uint64_t& value, const std::string& description);
    option add(const std::string& name, double& value, const std::string& description);
    /// @}

    /// Adds an option whose text goes to a function; what that throws is the complaint.
    using taker = std::function<void(const std::string& text)>;
    option add(const std::string& name, taker take, const std::string& description);

    /// Adds an option without a value, which sets this.
    option add_flag(const std::string& name, bool& value, const std::string& description);

    /// Takes words that nothing was added for, instead of refusing them.
    void allow_rest();
    [[nodiscard]] std::vector<std::string> rest() const;

    /// Whether the command line named this command.
    [[nodiscard]] bool given() const;

private:
    friend class program;
    explicit command(CLI::App* app) : app_(app) {}

    CLI::App* app_;
};

/// A whole command line. Either the program does one thing, or it has commands, of which one must
/// be given.
class program : public command {
public:
    program(const std::string& description, const std::string& name);
    program(const program&) = delete;
    program& operator=(const program&) = delete;
    ~program();

    command add_command(const std::string& name, const std::string& description);

    [[nodiscard]] const std::string& name() const;

    /// Reads the command line. Answers the exit status when there is nothing to be done: 0 when it
    /// printed help, 2 when it printed, as one line, what was wrong.
    [[nodiscard]] std::optional<int> read(int argc, char** argv);

    /// Prints what went wrong, as one line behind the program's name, on standard error.
    void complain(const std::string& what) const;

private:
    std::unique_ptr<CLI::App> owned_;
};

} // namespace command_line
