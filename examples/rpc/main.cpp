// MessagePack-RPC on sessions: a server whose requests run side by side, and a client that calls.
#include <stdexcept>

#include "../support/serve.hpp"
#include "call.hpp"
#include "serve.hpp"

namespace {

void add_frame_max(command_line::command& app, std::uint64_t& value) {
    examples::add_size(app, "--frame-max", value, "largest message that is taken [1MiB]");
}

void require_frame_max(std::uint64_t value) {
    if (value < 64 || value > 1 << 30)
        throw std::invalid_argument("--frame-max: " + std::to_string(value) +
                                    " is out of range; write 64B to 1GiB");
}

int run_serve(examples::serving_options& serving, rpc::service_options& conversations) {
    require_frame_max(conversations.frame_max);
    const auto how = serving.ending.requested;
    if (how != ringdown::plans::graceful && how != ringdown::plans::abort)
        throw std::invalid_argument(
            "--ending: a broken conversation is ended by graceful or abort");
    serving.ending.requested = ringdown::plans::graceful; // of one that idles
    conversations.when_broken = how;
    conversations.ending = serving.ending.policy;
    return rpc::serve(serving, conversations);
}

// What is left on the command line are the params. As options, arrays would be taken apart.
int run_call(rpc::call_options& calling, const std::vector<std::string>& rest) {
    require_frame_max(calling.frame_max);
    for (const std::string& each : rest)
        if (each.starts_with("--"))
            throw std::invalid_argument("there is no option '" + each + "'");
    calling.params = rest;
    return rpc::call(calling);
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app(
        "MessagePack-RPC: a server with the methods echo(x), sleep(ms) and fail(text), "
        "and a client.",
        "rpc");

    examples::serving_options serving;
    rpc::service_options conversations;
    command_line::command serve = app.add_command("serve", "Answers calls.");
    examples::add_serving_options(serve, serving);
    add_frame_max(serve, conversations.frame_max);
    serve
        .add("--in-progress", conversations.in_progress_max,
             "requests of one connection at a time [64]")
        .within(1, 1 << 20)
        .named("N");

    rpc::call_options calling;
    command_line::command call =
        app.add_command("call", "Calls a method: call ADDR METHOD [JSON...]");
    examples::add_address(call, "ADDR", calling.server, "the server").required();
    call.add("METHOD", calling.method, "what to call").required().named("NAME");
    call.add("--count", calling.count, "how often [1]").within(1, 100'000'000).named("N");
    call.add("--in-flight", calling.in_flight, "calls at a time [64]")
        .within(1, 1 << 20)
        .named("N");
    examples::add_duration(call, "--deadline", calling.within, "longest time for everything [5s]");
    add_frame_max(call, calling.frame_max);
    examples::add_reports(call, calling.reports, "write the connection's report, - for stdout");
    call.allow_rest();

    return examples::run_program(app, argc, argv, [&] {
        return serve.given() ? run_serve(serving, conversations) : run_call(calling, call.rest());
    });
}
