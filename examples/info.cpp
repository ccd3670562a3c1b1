// ringdown-info: what the kernel here offers, what of it is masked, how FIN is sent, and what is
// permitted.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <system_error>

#include <sys/utsname.h>

#include <ringdown/runtime/capabilities.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/shutdown/server/supervisor.hpp>

#include "support/options.hpp"
#include "support/permits.hpp"

namespace {

const char* name_of(ringdown::fin_method method) {
    return method == ringdown::fin_method::operation ? "operation (IORING_OP_SHUTDOWN)"
                                                     : "system_call (shutdown(2) in place)";
}

void print_permits() {
    std::printf("what is permitted, and behind a ! what is not:\n");
    for (const examples::permit& each : examples::permits())
        std::printf("%c %-22s %s\n", each.granted ? ' ' : '!', each.what.c_str(),
                    each.detail.c_str());
}

void print_capabilities(const ringdown::loop& loop) {
    const auto offered = ringdown::probe_capabilities(ringdown::kernel());
    std::printf("%-24s %-8s %s\n", "capability", "kernel", "used");
    for (const auto which : ringdown::all_capabilities())
        std::printf("%-24s %-8s %s\n", ringdown::name(which).data(),
                    offered.has(which) ? "yes" : "no",
                    loop.has(which)      ? "yes"
                    : offered.has(which) ? "no, masked by RINGDOWN_DISABLE"
                                         : "no");
    std::printf("\nIORING_OP_SHUTDOWN runs in place: %s\nFIN is sent by: %s\n",
                ringdown::probe_shutdown_in_place(ringdown::kernel()) ? "yes" : "no, in a worker",
                name_of(loop.fin()));
    std::printf("systemd is built in: %s\n",
                ringdown::supervisor::built_in() ? "yes" : "no (meson option systemd)");
    std::printf("\nRINGDOWN_DISABLE=name,name masks capabilities; RINGDOWN_FIN=system_call, "
                "operation or probe chooses how FIN is sent.\n");
}

int print_info() {
    std::optional<ringdown::loop> loop;
    std::exception_ptr denied;
    try {
        loop.emplace();
    } catch (const std::system_error&) {
        denied = std::current_exception();
    }
    utsname system{};
    uname(&system);
    std::printf("%s %s\n\n", system.sysname, system.release);
    print_permits();
    if (denied) std::rethrow_exception(denied);
    std::printf("\n");
    print_capabilities(*loop);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Prints what this kernel offers to Ringdown.", "ringdown-info");
    return examples::run_program(app, argc, argv, print_info);
}
