#include <ringdown/net/internal/fin.hpp>

#include <cerrno>

#include <sys/socket.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/layered.hpp>

namespace ringdown {

fin_operation::fin_operation(connection& connection) noexcept
    : queued_operation(connection, "shutdown") {}

void fin_operation::start() noexcept {
    connection& connection = target();
    if (layered* beneath = connection.own_layer(); beneath && !beneath->goes_before(*this)) return;
    connection.note_fin_issued();
    if (connection.on().fin() == fin_method::system_call) {
        conclude(connection.on().calls().shutdown(connection.descriptor(), SHUT_WR));
        return;
    }
    launch(
        [&](io_uring_sqe& sqe) { io_uring_prep_shutdown(&sqe, connection.descriptor(), SHUT_WR); });
}

void fin_operation::settled(completion what) noexcept { conclude(what.result); }

void fin_operation::refuse() noexcept {
    result_ = -ECANCELED;
    settled_.set();
}

void fin_operation::conclude(int result) noexcept {
    result_ = result;
    if (result == 0)
        target().enter(sending_phase::fin_sent);
    else
        target().note_fin_refused();
    settled_.set();
    target().sends().done(true);
}

} // namespace ringdown
