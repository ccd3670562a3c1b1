#include <ringdown/shutdown/server/prometheus.hpp>

#include <algorithm>
#include <array>

#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {
namespace {

using duration = time_histogram::duration;

// Whole microseconds as seconds, without zeros behind.
std::string seconds(duration time) {
    const auto whole = static_cast<std::uint64_t>(time.count());
    std::string text = std::to_string(whole / 1'000'000);
    std::string part = std::to_string(whole % 1'000'000);
    part.insert(0, 6 - part.size(), '0');
    part.erase(part.find_last_not_of('0') + 1);
    if (!part.empty()) text.append(".").append(part);
    return text;
}

std::string escaped(std::string_view value) {
    std::string text;
    for (const char each : value) {
        if (each == '\\' || each == '"') text.push_back('\\');
        if (each == '\n')
            text.append("\\n");
        else
            text.push_back(each);
    }
    return text;
}

bool is_label_name(std::string_view name) noexcept {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    // Two underscores in front are Prometheus's own.
    return !name.empty() && !digit(name.front()) && !name.starts_with("__") &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || digit(c); });
}

class exposition {
public:
    explicit exposition(std::span<const prometheus_label> labels) {
        for (const auto& [name, value] : labels) {
            require(is_label_name(name), "prometheus_text was given a label's name that is none; "
                                         "use letters, digits and _");
            append_label(common_, name, value);
        }
        text_.reserve(16 * 1024);
    }

    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_.append("# HELP ").append(name).append(" ").append(help);
        text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
    }

    void sample(std::string_view value) { sample("", {}, value); }

    void sample(std::string_view suffix, const prometheus_label& label, std::string_view value) {
        std::string labels = common_;
        if (!label.name.empty()) append_label(labels, label.name, label.value);
        text_.append(name_).append(suffix);
        if (!labels.empty()) text_.append("{").append(labels).append("}");
        text_.append(" ").append(value).append("\n");
    }

    void number(std::string_view name, std::string_view type, std::string_view help,
                std::uint64_t value) {
        family(name, type, help);
        sample(std::to_string(value));
    }

    /// One sample for each value of an enumeration.
    template <class Value, std::size_t N>
    void counts(std::string_view name, std::string_view label, std::string_view help,
                const std::array<std::uint64_t, N>& of) {
        family(name, "counter", help);
        for (std::size_t i = 0; i < N; ++i)
            sample("", {label, ringdown::name(static_cast<Value>(i))}, std::to_string(of[i]));
    }

    void histogram(std::string_view name, std::string_view help, const time_histogram& of) {
        family(name, "histogram", help);
        for (int power = 4; power <= 26; ++power) {
            const duration bound(std::int64_t{1} << power);
            const std::string le = seconds(bound);
            sample("_bucket", {"le", le}, std::to_string(of.count_below(bound)));
        }
        const std::string all = std::to_string(of.count());
        sample("_bucket", {"le", "+Inf"}, all);
        sample("_sum", {}, seconds(of.sum()));
        sample("_count", {}, all);
    }

    [[nodiscard]] std::string take() noexcept { return std::move(text_); }

private:
    static void append_label(std::string& to, std::string_view name, std::string_view value) {
        if (!to.empty()) to.append(",");
        to.append(name).append("=\"").append(escaped(value)).append("\"");
    }

    std::string common_;
    std::string name_;
    std::string text_;
};

void write_standing(exposition& to, const prometheus_standing& now) {
    to.number("ringdown_connections_accepted_total", "counter", "Connections that were accepted.",
              now.accepts);
    to.number("ringdown_connections_open", "gauge",
              "Connections that were accepted and have not ended.", now.open);
    to.number("ringdown_draining", "gauge", "1 while the servers are being drained, else 0.",
              now.draining ? 1 : 0);
}

void write_counts(exposition& to, const teardown_counters& of) {
    to.counts<actual_ending>("ringdown_connections_ended_total", "ending",
                             "Connections that have ended, by how.", of.by_ending);
    to.counts<teardown_cause>("ringdown_ending_causes_total", "cause",
                              "Connections that have ended, by what asked for it or made it "
                              "ungraceful.",
                              of.by_cause);
    to.counts<teardown_initiator>("ringdown_ending_initiators_total", "initiator",
                                  "Connections that have ended, by who ended them.",
                                  of.by_initiator);
    to.counts<delivery_verdict>("ringdown_ending_deliveries_total", "delivery",
                                "Connections that have ended, by whether the peer's kernel "
                                "acknowledged what was sent.",
                                of.by_delivery);
}

void write_bytes(exposition& to, const teardown_counters::byte_totals& bytes) {
    const auto total = [&](std::string_view name, std::string_view help, std::uint64_t value) {
        to.number(name, "counter", help, value);
    };
    total("ringdown_sent_bytes_total", "Bytes accepted by the kernel, of ended connections.",
          bytes.sent);
    total("ringdown_unsent_bytes_total",
          "Bytes handed to a send and never accepted by the kernel, of ended connections.",
          bytes.unsent);
    total("ringdown_unacknowledged_bytes_total",
          "Bytes sent that the peer's kernel had not acknowledged when the connection ended.",
          bytes.unacknowledged);
    total("ringdown_received_bytes_total", "Bytes given to the application, of ended connections.",
          bytes.received);
    total("ringdown_discarded_bytes_total", "Bytes received and dropped, of ended connections.",
          bytes.discarded);
}

void write_times(exposition& to, const teardown_counters::times& times) {
    to.histogram("ringdown_ending_duration_seconds",
                 "Time from the request to end a connection until it was closed.", times.total);
    to.histogram("ringdown_ending_flush_duration_seconds",
                 "Time from the request until FIN was handed to the kernel.", times.flush);
    to.histogram("ringdown_ending_fin_acknowledged_duration_seconds",
                 "Time from the request until the peer's kernel had acknowledged FIN.",
                 times.fin_acknowledged);
    to.histogram("ringdown_ending_peer_finished_duration_seconds",
                 "Time from the request until the peer's FIN, 0 if it came before.",
                 times.peer_finished);
}

} // namespace

std::string prometheus_text(const teardown_counters& counters,
                            const std::optional<prometheus_standing>& standing,
                            std::span<const prometheus_label> labels) {
    exposition text(labels);
    if (standing) write_standing(text, *standing);
    write_counts(text, counters);
    write_bytes(text, counters.bytes);
    write_times(text, counters.microseconds);
    return text.take();
}

} // namespace ringdown
