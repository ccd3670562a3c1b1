#include "report.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ringdown_demo {

namespace {

using nlohmann::json;

template <class Value>
void read_field(const json& object, const char* name, Value& value) {
    const auto field = object.find(name);
    if (field == object.end()) {
        throw std::runtime_error(fmt::format("has no field '{}'", name));
    }
    if constexpr (std::is_same_v<Value, std::uint64_t>) {
        if (!field->is_number_unsigned()) { // a cast would make a huge number of a negative one
            throw std::runtime_error(
                fmt::format("field '{}' is {}, not a number >= 0", name, field->dump()));
        }
    }
    try {
        field->get_to(value);
    } catch (const json::exception&) {
        throw std::runtime_error(fmt::format("field '{}' is {}", name, field->dump()));
    }
}

void read_field(const json& object, const char* name, std::optional<std::uint64_t>& value) {
    const auto field = object.find(name);
    if (field != object.end() && field->is_null()) {
        value.reset();
        return;
    }
    read_field(object, name, value.emplace());
}

void read_field(const json& object, const char* name, std::string& value,
                std::initializer_list<std::string_view> allowed) {
    read_field(object, name, value);
    if (std::ranges::find(allowed, value) == allowed.end()) {
        throw std::runtime_error(
            fmt::format("field '{}' is '{}', which is no value of it", name, value));
    }
}

json parse_object(const std::string& line) {
    auto parsed = json::parse(line, nullptr, false);
    if (!parsed.is_object()) {
        throw std::runtime_error("is not a JSON object");
    }
    return parsed;
}

} // namespace

report parse_report(const std::string& line) {
    const auto fields = parse_object(line);
    report read;
    read.line = line;
    read_field(fields, "connection", read.connection);
    read_field(fields, "peer", read.peer);
    read_field(fields, "initiator", read.initiator, {"local", "peer", "both", "kernel"});
    read_field(fields, "cause", read.cause,
               {"application", "peer_finished", "drain", "dropped", "canceled", "peer_reset",
                "deadline", "idle", "discard_limit", "truncated", "network_timeout", "error"});
    read_field(fields, "requested", read.requested,
               {"graceful", "abort", "background", "wait", "none"});
    read_field(fields, "ending", read.ending,
               {"graceful", "delivered", "degraded", "aborted", "reset", "lost", "closed"});
    read_field(fields, "delivery", read.delivery, {"acknowledged", "unacknowledged", "unknown"});
    read_field(fields, "sent_bytes", read.sent_bytes);
    read_field(fields, "unsent_bytes", read.unsent_bytes);
    read_field(fields, "unacknowledged_bytes", read.unacknowledged_bytes);
    read_field(fields, "received_bytes", read.received_bytes);
    read_field(fields, "discarded_bytes", read.discarded_bytes);
    read_field(fields, "peer_finished", read.peer_finished);
    read_field(fields, "reset_sent", read.reset_sent);
    read_field(fields, "reset_received", read.reset_received);
    json times;
    read_field(fields, "microseconds", times);
    if (!times.is_object()) {
        throw std::runtime_error("field 'microseconds' is not an object");
    }
    read_field(times, "flush", read.microseconds.flush);
    read_field(times, "fin_acknowledged", read.microseconds.fin_acknowledged);
    read_field(times, "peer_finished", read.microseconds.peer_finished);
    read_field(times, "total", read.microseconds.total);
    return read;
}

server_totals parse_totals(const std::string& line) {
    const auto fields = parse_object(line);
    server_totals read;
    read_field(fields, "accepts", read.accepts);
    read_field(fields, "reports", read.reports);
    read_field(fields, "descriptors_left", read.descriptors_left);
    read_field(fields, "operations_left", read.operations_left);
    read_field(fields, "ending", read.ending);
    read_field(fields, "cause", read.cause);
    read_field(fields, "delivery", read.delivery);
    return read;
}

std::uint64_t line_counter::count() {
    std::ifstream file(file_, std::ios::binary);
    file.seekg(seen_);
    std::array<char, 65536> buffer{};
    while (file.good()) {
        file.read(buffer.data(), buffer.size());
        const auto got = file.gcount();
        lines_ += static_cast<std::uint64_t>(std::count(buffer.data(), buffer.data() + got, '\n'));
        seen_ += got;
    }
    return lines_;
}

} // namespace ringdown_demo
