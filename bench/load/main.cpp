// The load: aims one workload at a server, verifies every answer, and prints what it measured as
// one JSON object. Hand-written epoll, so that it is none of the contestants.
#include <cstdio>

#include <sys/resource.h>

#include "../../command_line/command_line.hpp"
#include "failure.hpp"
#include "workloads.hpp"

namespace {

void raise_descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

nlohmann::ordered_json run(const load::options& given, const load::meter& server) {
    if (given.workload == "echo") return load::run_echo(given, server);
    if (given.workload == "discard") return load::run_discard(given, server);
    if (given.workload == "cancel") return load::run_cancel(given, server);
    if (given.workload == "drain") return load::run_drain(given, server);
    return load::run_churn(given, server);
}

// Every connection has ended, so the server must not keep any.
void require_no_leak(const load::meter& server, const load::options& given, int before) {
    for (const auto give_up = load::now() + patience(given); server.sockets() > before;)
        if (load::now() > give_up) load::fail("the server keeps sockets of connections that ended");
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Aims a workload at a server on 127.0.0.1 and measures it.", "load");
    load::options given;
    app.add("workload", given.workload, "what the server was started with")
        .required()
        .one_of({"echo", "churn-server-first", "churn-client-first", "churn-abort", "discard",
                 "drain", "cancel"});
    app.add("port", given.port, "where it listens").required().within(1, 65535);
    app.add("--server", given.server, "its process").required().within(1, 1 << 30);
    app.add("--connections", given.connections, "at a time [64]").within(1, 100'000);
    app.add("--bytes", given.bytes, "of an echo's message, or of an upload [64]")
        .within(1, 1 << 30);
    app.add("--seconds", given.seconds, "measured [1]").within(0.01, 3600.0);
    app.add("--warm-up", given.warm_up, "seconds before that [0.1]").within(0.0, 3600.0);
    app.add("--stuck", given.stuck, "churn: percent of peers added that never read or close")
        .within(0, 1000);
    app.add("--rate", given.rate,
            "churn: connections begun a second, instead of as many as "
            "--connections at a time")
        .within(0.0, 1e6);
    app.add("--patience", given.patience, "seconds without what is due that fail a run [5]")
        .within(0.01, 3600.0);
    app.add_flag("--busy", given.busy, "drain: peers go on asking");
    app.add_flag("--count", given.count, "count system calls, which costs the server some time");
    if (const auto status = app.read(argc, argv)) return *status;
    raise_descriptor_limit();

    const load::meter server(given.server, given.count);
    const int sockets_before = server.sockets();
    auto report = run(given, server);
    if (given.workload != "drain") {
        if (given.stuck == 0) require_no_leak(server, given, sockets_before);
        report["workers"] = server.workers();
    }
    std::printf("%s\n", report.dump().c_str());
    return 0;
}
