#include "record.hpp"

#include "kinds.hpp"

#include <cstring>

#include <nlohmann/json.hpp>

namespace ringdown_demo {

namespace {

const char* name_of(own_end end) {
    switch (end) {
    case own_end::none:
        return "nothing";
    case own_end::finished:
        return "finished";
    case own_end::reset:
        return "reset";
    case own_end::vanished:
        return "vanished";
    }
    return "?";
}

} // namespace

std::string to_json(const record& seen, clock::time_point start) {
    const auto milliseconds = [&](clock::time_point time) {
        return time == clock::time_point{}
                   ? nlohmann::ordered_json()
                   : nlohmann::ordered_json(
                         std::chrono::duration_cast<std::chrono::milliseconds>(time - start)
                             .count());
    };
    nlohmann::ordered_json line;
    line["number"] = seen.number;
    line["peer"] = seen.address;
    line["kind"] = all_kinds()[seen.kind].name;
    line["amount"] = seen.amount;
    line["established"] = seen.established;
    line["written"] = seen.written;
    line["read"] = seen.read;
    line["queued"] = seen.queued;
    line["sealed"] = seen.sealed;
    line["end_received"] = seen.end_received;
    line["end_read"] = seen.end_read;
    line["reset_seen"] = seen.reset_seen;
    if (seen.error != 0) {
        line["error"] = std::strerror(seen.error);
    }
    line["did"] = name_of(seen.ended);
    line["finished"] = seen.finished;
    line["ended_after_end"] = seen.ended_after_end;
    line["cut_short"] = seen.cut_short;
    line["server_answered"] = seen.server_answered;
    if (seen.wrong_byte_at) {
        line["wrong_byte_at"] = *seen.wrong_byte_at;
    }
    line["opened_ms"] = milliseconds(seen.opened);
    line["connected_ms"] = milliseconds(seen.connected);
    line["finish_acknowledged_ms"] =
        milliseconds(seen.finish_acknowledged.value_or(clock::time_point{}));
    line["over_ms"] = milliseconds(seen.over);
    return line.dump();
}

} // namespace ringdown_demo
