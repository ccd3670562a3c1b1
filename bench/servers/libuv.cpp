// libuv by its guide: a handle for each connection, reads started once, writes tried at once and
// queued when the kernel takes only a part.
#include <cstdlib>
#include <cstring>
#include <vector>

#include <sys/socket.h>
#include <uv.h>

#include "support.hpp"

using namespace servers;

namespace {

order given;
uv_tcp_t listener;
char shared_buffer[64 * 1024];
bool stopping = false;

struct client {
    uv_tcp_t handle; // first, so that the handle is the client
    uv_shutdown_t shutdown_request;
    uv_write_t flood_request;
    client* next = nullptr;
    client** previous = nullptr;
    std::size_t have = 0;
    std::size_t told = 0; // `cancel`: bytes that came behind the request
    bool finishing = false;
    unsigned writing = 0;
    char request[request_bytes];
};

client* clients = nullptr;

client& client_of(uv_stream_t* stream) { return *reinterpret_cast<client*>(stream); }
uv_stream_t* stream_of(client& client) { return reinterpret_cast<uv_stream_t*>(&client.handle); }
uv_handle_t* handle_of(client& client) { return reinterpret_cast<uv_handle_t*>(&client.handle); }

void forget(uv_handle_t* closed) {
    auto* gone = reinterpret_cast<client*>(closed);
    *gone->previous = gone->next;
    if (gone->next) gone->next->previous = gone->previous;
    delete gone;
}

void close_client(client& ended) {
    if (!uv_is_closing(handle_of(ended))) uv_close(handle_of(ended), forget);
}

void finish(client& ended) {
    ended.finishing = true;
    uv_shutdown(&ended.shutdown_request, stream_of(ended), nullptr);
}

struct queued_write {
    uv_write_t request;
    std::vector<char> data;
};

void written(uv_write_t* done, int status) {
    auto* write = reinterpret_cast<queued_write*>(done);
    client& client = client_of(done->handle);
    --client.writing;
    if (status < 0) close_client(client);
    delete write;
}

void send(client& client, const char* data, std::size_t bytes) {
    uv_buf_t whole = uv_buf_init(const_cast<char*>(data), static_cast<unsigned>(bytes));
    const int sent = client.writing > 0 ? 0 : uv_try_write(stream_of(client), &whole, 1);
    const std::size_t gone = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (gone == bytes) return;
    if (sent < 0 && sent != UV_EAGAIN) return close_client(client);
    auto* rest = new queued_write{{}, std::vector<char>(data + gone, data + bytes)};
    uv_buf_t left = uv_buf_init(rest->data.data(), static_cast<unsigned>(rest->data.size()));
    ++client.writing;
    uv_write(&rest->request, stream_of(client), &left, 1, written);
}

// Told to stop, it resets with a write queued and reading going on.
void flood_until_told(client& client, std::size_t told) {
    client.told += told;
    if (told == 0) {
        uv_buf_t all = uv_buf_init(const_cast<char*>(flood()), flood_bytes);
        uv_write(&client.flood_request, stream_of(client), &all, 1, nullptr);
    } else if (client.told >= request_bytes && !uv_is_closing(handle_of(client))) {
        uv_tcp_close_reset(&client.handle, forget);
    }
}

void answer(client& client, const char* data, std::size_t bytes) {
    const std::size_t wanted = request_bytes - client.have;
    if (wanted == 0 && given.what == workload::cancel) return flood_until_told(client, bytes);
    const std::size_t taken = bytes < wanted ? bytes : wanted;
    std::memcpy(client.request + client.have, data, taken);
    client.have += taken;
    if (client.have < request_bytes || taken == 0) return;
    if (given.what == workload::cancel) return flood_until_told(client, 0);
    send(client, client.request, request_bytes);
    if (finishes_first(given.what)) finish(client);
    if (given.what == workload::churn_abort) uv_tcp_close_reset(&client.handle, forget);
}

void received(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
    client& client = client_of(stream);
    if (bytes < 0)
        close_client(client);
    else if (client.finishing || bytes == 0)
        return;
    else if (echoes(given.what))
        send(client, buffer->base, static_cast<std::size_t>(bytes));
    else
        answer(client, buffer->base, static_cast<std::size_t>(bytes));
}

void lend(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
    *buffer = uv_buf_init(shared_buffer, sizeof shared_buffer);
}

void accept_one(uv_stream_t* listening, int status) {
    if (status < 0) return;
    auto* accepted = new client;
    uv_tcp_init(listening->loop, &accepted->handle);
    accepted->next = clients;
    accepted->previous = &clients;
    if (clients) clients->previous = &accepted->next;
    clients = accepted;
    if (uv_accept(listening, stream_of(*accepted)) != 0) return close_client(*accepted);
    uv_read_start(stream_of(*accepted), lend, received);
    if (stopping) finish(*accepted);
}

void stop(uv_signal_t* signal, int) {
    if (!drains(given.what)) std::_Exit(0);
    stopping = true;
    uv_close(reinterpret_cast<uv_handle_t*>(signal), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&listener), nullptr);
    for (client* each = clients; each; each = each->next)
        if (!uv_is_closing(handle_of(*each))) finish(*each);
}

} // namespace

int main(int argc, char** argv) {
    given = read_order(argc, argv);
    uv_loop_t* loop = uv_default_loop();
    uv_signal_t term;
    uv_signal_init(loop, &term);
    uv_signal_start(&term, stop, SIGTERM);
    uv_tcp_init(loop, &listener);
    must(uv_tcp_open(&listener, listen_on(given, SOCK_NONBLOCK)) == 0, "uv_tcp_open");
    must(uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, accept_one) == 0, "uv_listen");
    uv_run(loop, UV_RUN_DEFAULT);
}
