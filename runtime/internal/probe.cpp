#include <cerrno>
#include <cstdlib>
#include <memory>
#include <thread>

#include <linux/sockios.h>
#include <sys/socket.h>

#include <ringdown/runtime/capabilities.hpp>
#include <ringdown/runtime/internal/ring_setup.hpp>
#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/ring.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

namespace {

// Each set-up flag is tried by itself; only DEFER_TASKRUN needs another beside it.
capability_set probe_setup_flags(system_calls& calls) {
    capability_set found;
    auto attempt = [&](capability which, unsigned flags) {
        io_uring_params params;
        ring_size size{.entries = 4, .completion_entries = 8};
        const int fd = set_up_ring(calls, flags | IORING_SETUP_R_DISABLED, size, params);
        if (fd < 0) return;
        calls.close(fd);
        found.add(which);
    };
    attempt(capability::single_issuer, IORING_SETUP_SINGLE_ISSUER);
    attempt(capability::defer_taskrun, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    attempt(capability::coop_taskrun, IORING_SETUP_COOP_TASKRUN);
    attempt(capability::no_sqarray, uapi::setup_no_sqarray);
    return found;
}

void probe_operations(ring& probing, capability_set& found) {
    constexpr std::size_t operations = 256;
    const auto bytes = sizeof(io_uring_probe) + operations * sizeof(io_uring_probe_op);
    const std::unique_ptr<void, decltype(&std::free)> memory(std::calloc(1, bytes), &std::free);
    auto* known = static_cast<io_uring_probe*>(memory.get());
    if (probing.calls().ring_register(probing.descriptor(), IORING_REGISTER_PROBE, known,
                                      operations) < 0)
        return;
    // Multishot accept and recv are flags, which a probe does not show: each came in the release
    // that brought the operation beside it.
    if (io_uring_opcode_supported(known, IORING_OP_SOCKET)) found.add(capability::multishot_accept);
    if (io_uring_opcode_supported(known, IORING_OP_SEND_ZC))
        found.add(capability::multishot_recv).add(capability::zero_copy_send);
}

int outcome(ring& probing) {
    probing.enter(true);
    int result = -ENODATA;
    probing.reap([&](std::uint64_t, completion what) { result = what.result; });
    return result;
}

// A command on a socket is refused (EOPNOTSUPP, EINVAL) by kernels that do not know it.
void probe_socket_commands(ring& probing, capability_set& found) {
    const int fd = probing.calls().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    uapi::prepare_socket_queue(probing.entry(), uapi::socket_siocoutq, fd);
    if (outcome(probing) >= 0) found.add(capability::socket_queue_commands);
    int type = 0;
    uapi::prepare_socket_option(probing.entry(), uapi::socket_getsockopt, fd, SOL_SOCKET, SO_TYPE,
                                &type, sizeof type);
    if (outcome(probing) >= 0) found.add(capability::socket_option_commands);
    probing.calls().close(fd);
}

void probe_registered_ring(ring& probing, capability_set& found) {
    io_uring_rsrc_update update{
        .offset = ~0U, .resv = 0, .data = static_cast<unsigned long long>(probing.descriptor())};
    auto& calls = probing.calls();
    if (calls.ring_register(probing.descriptor(), IORING_REGISTER_RING_FDS, &update, 1) != 1)
        return;
    update.data = 0;
    calls.ring_register(probing.descriptor(), IORING_UNREGISTER_RING_FDS, &update, 1);
    found.add(capability::registered_ring);
}

void probe_buffer_ring(ring& probing, capability_set& found) {
    constexpr std::size_t page = 4096;
    const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(page, page),
                                                             &std::free);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<unsigned long long>(memory.get());
    request.ring_entries = 1;
    auto& calls = probing.calls();
    if (calls.ring_register(probing.descriptor(), IORING_REGISTER_PBUF_RING, &request, 1) < 0)
        return;
    calls.ring_register(probing.descriptor(), IORING_UNREGISTER_PBUF_RING, &request, 1);
    found.add(capability::buffer_ring);
}

capability_set probe(system_calls& calls) {
    capability_set found = probe_setup_flags(calls);
    // The plainest ring will do, and is closed at once: a deferred one would keep its thread's
    // registration.
    ring probing(calls, capability_set{}, {.entries = 4, .completion_entries = 8, .disabled = {}});
    probing.enable();
    if (probing.features() & IORING_FEAT_CQE_SKIP) found.add(capability::skip_success);
    probe_operations(probing, found);
    probe_socket_commands(probing, found);
    probe_registered_ring(probing, found);
    probe_buffer_ring(probing, found);
    return found;
}

} // namespace

capability_set probe_capabilities(system_calls& calls) {
    if (&calls != &kernel()) return probe(calls);
    static const capability_set found = probe(kernel());
    return found;
}

bool probe_shutdown_in_place(system_calls& calls) {
    bool in_place = false;
    std::thread([&] {
        capability_set deferred;
        deferred.add(capability::single_issuer).add(capability::defer_taskrun);
        ring probing(calls, deferred, {.entries = 4, .completion_entries = 8, .disabled = {}});
        probing.enable();
        const int fd = calls.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        // What a worker completes on a deferred ring shows only after task work has run, which this
        // submission does not ask for: a completion that is there now was made in place.
        io_uring_prep_shutdown(&probing.entry(), fd, SHUT_WR);
        probing.submit();
        probing.reap([&](std::uint64_t, completion) { in_place = true; });
        if (!in_place) probing.enter(true);
        calls.close(fd);
    }).join();
    return in_place;
}

} // namespace ringdown
