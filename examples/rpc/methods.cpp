#include "methods.hpp"

#include <chrono>

#include <ringdown/runtime/sleep.hpp>

namespace rpc {
namespace {

using namespace ringdown;

constexpr double longest_sleep_ms = 24 * 3600e3;

const msgpack::object& only_param(const message& request) {
    if (request.params->via.array.size != 1)
        throw call_failed(std::string(request.method) + " takes one parameter");
    return request.params->via.array.ptr[0];
}

std::chrono::nanoseconds milliseconds_in(const msgpack::object& value) {
    double number = -1;
    if (value.type == msgpack::type::POSITIVE_INTEGER || value.type == msgpack::type::FLOAT64 ||
        value.type == msgpack::type::FLOAT32)
        number = value.as<double>();
    if (!(number >= 0 && number <= longest_sleep_ms))
        throw call_failed("sleep takes milliseconds, at most those of a day");
    return std::chrono::nanoseconds(static_cast<std::int64_t>(number * 1e6));
}

} // namespace

task<bool> invoke(const message& asked, msgpack::packer<packed>& result) {
    if (asked.method == "echo") {
        result.pack(only_param(asked));
    } else if (asked.method == "sleep") {
        const auto& time = only_param(asked);
        const auto slept = co_await sleep_for(milliseconds_in(time));
        if (!slept) co_return false;
        result.pack(time);
    } else if (asked.method == "fail") {
        const auto& text = only_param(asked);
        if (text.type != msgpack::type::STR) throw call_failed("fail takes a string");
        throw call_failed(text.as<std::string>());
    } else {
        throw call_failed("unknown method '" + std::string(asked.method) +
                          "'; there are echo, sleep and fail");
    }
    co_return true;
}

} // namespace rpc
