#include "call.hpp"

#include <cstdio>
#include <stdexcept>

#include <ringdown/shutdown/ending/ledger.hpp>

#include "../support/report_writer.hpp"
#include "caller.hpp"
#include "json_value.hpp"

namespace rpc {
namespace {

packed pack_params(const std::vector<std::string>& texts) {
    packed params;
    msgpack::packer<packed> packer(params);
    packer.pack_array(static_cast<std::uint32_t>(texts.size()));
    for (const std::string& text : texts) {
        const auto value = nlohmann::json::parse(text, nullptr, false);
        if (value.is_discarded())
            throw std::invalid_argument("'" + text + "' is no JSON value; a string is '\"text\"'");
        try {
            pack_json(packer, value);
        } catch (const std::exception& refused) {
            throw std::invalid_argument("'" + text + "' cannot be sent: " + refused.what());
        }
    }
    return params;
}

} // namespace

int call(const call_options& options) {
    packed params = pack_params(options.params);
    examples::report_writer reports(options.reports);
    ringdown::loop loop;
    ledger(loop).on_report([&](const ringdown::teardown_report& report) { reports.write(report); });
    caller calls(loop, options, std::move(params));
    loop.run(calls.run());

    const bool reported = reports.finish();
    tally& outcome = calls.outcome();
    if (outcome.canceled() > 0)
        std::fprintf(stderr, "rpc: %s canceled: %s\n", options.method.c_str(),
                     outcome.canceled_because.c_str());
    if (options.count > 1) std::printf("%s\n", outcome.summary().dump().c_str());
    return reported && outcome.answered == outcome.calls ? 0 : 1;
}

} // namespace rpc
