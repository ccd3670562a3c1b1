#include <ringdown/net/internal/fin.hpp>

#include <cerrno>

#include <sys/socket.h>

#include <ringdown/net/connection.hpp>

namespace ringdown {

fin_operation::fin_operation(connection& on) noexcept : queued_operation(on, "shutdown") {}

void fin_operation::start() noexcept {
    connection& to = target();
    to.note_fin_issued();
    if (to.on().fin() == fin_method::system_call) {
        conclude(to.on().calls().shutdown(to.descriptor(), SHUT_WR));
        return;
    }
    launch([&](io_uring_sqe& sqe) { io_uring_prep_shutdown(&sqe, to.descriptor(), SHUT_WR); });
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
