#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ringdown_demo {

/// One teardown report, as the server wrote it.
struct report {
    std::string line; ///< the JSON itself, to be shown
    std::uint64_t connection = 0;
    std::string peer;
    std::string initiator;
    std::string cause;
    std::string requested;
    std::string ending;
    std::string delivery;
    std::uint64_t sent_bytes = 0;
    std::uint64_t unsent_bytes = 0;
    std::optional<std::uint64_t> unacknowledged_bytes; ///< null: no sample was possible
    std::uint64_t received_bytes = 0;
    std::uint64_t discarded_bytes = 0;
    bool peer_finished = false;
    bool reset_sent = false;
    bool reset_received = false;
    struct {
        std::optional<std::uint64_t> flush;
        std::optional<std::uint64_t> fin_acknowledged;
        std::optional<std::uint64_t> peer_finished;
        std::uint64_t total = 0;
    } microseconds;
};

/// How often each value of a field occurs.
using histogram = std::map<std::string, std::uint64_t>;

/// The server's last line.
struct server_totals {
    std::uint64_t accepts = 0;
    std::uint64_t reports = 0;
    std::uint64_t descriptors_left = 0;
    std::uint64_t operations_left = 0;
    histogram ending;
    histogram cause;
    histogram delivery;
};

/// Both throw `std::runtime_error` that says what is wrong with the text.
[[nodiscard]] report parse_report(const std::string& line);
[[nodiscard]] server_totals parse_totals(const std::string& line);

/// Counts the lines of a file that is being written, reading what is new each time.
class line_counter {
public:
    explicit line_counter(std::filesystem::path file) : file_(std::move(file)) {}
    [[nodiscard]] std::uint64_t count();

private:
    std::filesystem::path file_;
    std::streamoff seen_ = 0; ///< bytes looked at
    std::uint64_t lines_ = 0;
};

} // namespace ringdown_demo
