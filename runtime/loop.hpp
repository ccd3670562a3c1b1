#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <typeindex>
#include <utility>
#include <vector>

#include <ringdown/runtime/internal/ready_list.hpp>
#include <ringdown/runtime/internal/ring_operation.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/internal/waiting.hpp>
#include <ringdown/runtime/ring.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

class alarm_clock;
class mailbox;

/// How FIN is sent.
enum class fin_method {
    system_call, ///< shutdown(2) where the ring operation would be submitted.
    operation,   ///< IORING_OP_SHUTDOWN, which known kernels hand to a worker thread.
    probe,       ///< The ring operation where the kernel runs it in place, else the system call.
};

struct loop_options {
    ring_options ring{};
    unsigned buffers = 256;            ///< Provided buffers for leases; a power of two.
    unsigned buffer_bytes = 16 * 1024; ///< Size of each.
    /// Known kernels run the operation in a worker always, and finding out costs such a worker,
    /// so by default nothing is probed. `RINGDOWN_FIN` (system_call, operation, probe) overrides.
    fin_method fin = fin_method::system_call;
    system_calls* calls = nullptr; ///< What stands for the kernel; null is Linux itself.
};

/// Something on a loop that must come to its end before the loop's run does.
class resident : public list_hook<resident> {
public:
    /// The loop is about to end its run; removes itself from the loop when it has ended.
    virtual void loop_ends() noexcept = 0;
    /// The kernel has refused the loop its ring: nothing on it completes any more.
    virtual void loop_lost() noexcept {}

protected:
    ~resident() = default;
};

/// Something that exists once for a loop, made when first asked for.
class loop_service {
public:
    virtual ~loop_service() = default;
};

/// An event loop on one io_uring: runs what is ready, submits and waits in one system call,
/// reaps every completion, and starts over.
///
/// Belongs to the thread that first calls `run`; only `post` and `stop` may be called by others.
/// Errors: the constructor throws `std::system_error` (no io_uring, no memory, no descriptor) or
/// `std::invalid_argument` (an environment variable), each with one clear line.
class loop {
public:
    using time_point = system_calls::time_point;

    explicit loop(const loop_options& options = {});
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    /// Ends and reports the connections that were adopted since the last run, as a run would at its
    /// end. Calls that were posted since then are destroyed, and not run. What callbacks throw
    /// meanwhile is thrown nowhere.
    ///
    /// Where it has run before and has connections, by the thread that ran it (an assertion).
    /// A loop is not destroyed while it runs, with one exception: where its own thread calls
    /// exit(3) within the run, a loop with static storage resets its connections and lets the
    /// program end.
    ~loop();

    /// Runs until `main` has ended, then cancels what else was spawned, ends every connection
    /// that is still open, and returns when the last operation has been joined.
    ///
    /// Errors: throws the first exception that left `main`, a task spawned on the loop, or a
    /// callback; one of a task ends the run, one of a callback does not. Throws
    /// `std::system_error` when io_uring_enter is denied, which a seccomp profile may do at any
    /// time. The loop is lost then: nothing on it can be joined, so its tasks are never resumed
    /// and never freed, connections end with the process, and each later `run` throws it again.
    template <class T>
    T run(task<T> main);

    /// Starts a task beside the main one; cancelled and joined when the main one ends. What it
    /// answers is dropped, as by `scope::spawn`.
    ///
    /// Only while `run` is running.
    template <class T>
    void spawn(task<T> child);
    /// True within `run`.
    [[nodiscard]] bool runs() const noexcept { return root_ != nullptr; }

    /// Runs `call` on the loop's thread, soon. May be called from any thread.
    ///
    /// Between runs it waits for the next one. What it throws is kept, see `callback_failures`.
    void post(std::move_only_function<void()> call);

    /// Ends the run as if the main task had ended, and cancels that one too. May be called from
    /// any thread.
    ///
    /// Before the first run it ends that one as it begins. One that comes when its run is over, or
    /// between two runs, does nothing.
    void stop();

    /// How many callbacks have thrown so far. Such an exception stops nothing of what the library
    /// does; the first one is kept, and `run` throws it as it ends, this run or else the next.
    ///
    /// This holds for whatever the library is given to call and is no task: posted calls, and what
    /// ledgers and servers call. Threads: the loop's.
    [[nodiscard]] std::uint64_t callback_failures() const noexcept { return callback_failures_; }

    [[nodiscard]] time_point now() const noexcept { return calls_.now(); }
    /// When the loop took note of the completion that is being handled: the same for all that it
    /// reaps at once, so that a crowd of them costs one look at the clock. At other times, `now`.
    [[nodiscard]] time_point seen_at() noexcept {
        if (!reaping_) return now();
        if (!seen_at_) seen_at_ = now();
        return *seen_at_;
    }
    /// As given, but for what was decided or was not to be had: `fin`, and the sizes in `ring`.
    [[nodiscard]] const loop_options& options() const noexcept { return options_; }
    [[nodiscard]] bool has(capability which) const noexcept { return ring_.has(which); }
    [[nodiscard]] const capability_set& capabilities() const noexcept {
        return ring_.capabilities();
    }
    /// How FIN is sent here: never `probe`, which has been decided.
    [[nodiscard]] fin_method fin() const noexcept { return options_.fin; }
    [[nodiscard]] const ring::counters& statistics() const noexcept { return ring_.statistics(); }
    /// The kernel has denied io_uring_enter: see `run`.
    [[nodiscard]] bool lost() const noexcept { return ring_.lost(); }
    /// Operations that the kernel has not completed for the last time, the loop's own not counted.
    [[nodiscard]] std::size_t operations_in_flight() const noexcept;

    /// For what is built on the loop.
    /// @{
    [[nodiscard]] system_calls& calls() noexcept { return calls_; }
    [[nodiscard]] ring& own_ring() noexcept { return ring_; }
    [[nodiscard]] timer_queue& timers() noexcept { return timers_; }
    /// Takes note of what has completed; tasks that it wakes run later, with the next turn.
    void reap() { reap(0); }
    void admit(resident& guest) noexcept { residents_.push_back(guest); }
    /// Submits what nobody waits for: nobody is told when or how it ended, not even of a failure.
    /// Lifetime: what the entry names stays until it has been submitted, and done in that breath.
    template <class Prepare>
    void submit_unawaited(Prepare prepare);
    template <class Service>
    Service& service();
    /// Calls what the program has given the library to call, and keeps what it throws.
    template <class Callback, class... Arguments>
    void call_back(Callback& callback, const Arguments&... arguments) noexcept {
        try {
            callback(arguments...);
        } catch (...) {
            keep(std::current_exception());
        }
    }
    /// Keeps what has left a callback.
    void keep(std::exception_ptr failure) noexcept;
    /// @}

private:
    friend class ring_operation;
    friend class waiting;

    [[nodiscard]] scope& running_scope() noexcept;
    void begin_run();
    void reap(std::size_t silently_submitted);
    void run_until(const bool& ended);
    void end_run();
    void leave_to_exit() noexcept;
    void turn();
    void enter(bool wait, std::optional<time_point> until);
    void expire_timers();
    void complete_silent(std::size_t submitted);
    void end_silence(ring_operation& failed) noexcept;
    void resume_ready();
    void end_residents() noexcept;
    void leave_all_behind() noexcept;

    loop_options options_;
    system_calls& calls_;
    ring ring_;
    timer_queue timers_;
    std::size_t in_flight_ = 0;
    std::vector<ring_operation*> silent_; // null for one that has failed
    ready_list ready_;
    ready_list resuming_; // its memory is kept between turns
    intrusive_list<resident, resident> residents_;
    intrusive_list<resident, resident> ending_residents_;
    std::vector<std::pair<std::type_index, std::unique_ptr<loop_service>>> services_;
    std::unique_ptr<alarm_clock> alarm_;
    bool alarm_wanted_ = false; // the next turn sets it, because the tasks come first and take time
    std::unique_ptr<mailbox> mailbox_;
    std::unique_ptr<scope> root_; // while it runs; null between runs
    std::exception_ptr kept_;     // the first that left a callback
    std::uint64_t callback_failures_ = 0;
    std::atomic<std::uint64_t> runs_{0}; // begun
    bool enabled_ = false;
    bool stopping_ = false;
    bool reaping_ = false;
    std::optional<time_point> seen_at_;
};

// The hot path of every operation, so inline.

template <class Prepare>
void ring_operation::submit(loop& loop, Prepare prepare) {
    require(!in_flight_, "an operation was submitted twice");
    io_uring_sqe& sqe = loop.ring_.entry();
    prepare(sqe);
    sqe.user_data = reinterpret_cast<std::uintptr_t>(this);
    in_flight_ = true;
    cancel_requested_ = false;
    ++loop.in_flight_;
}

template <class Prepare>
void ring_operation::submit_silently(loop& loop, Prepare prepare) {
    submit(loop, [&](io_uring_sqe& sqe) {
        prepare(sqe);
        if (!loop.has(capability::skip_success)) return;
        sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
        silent_ = true;
        loop.silent_.push_back(this);
    });
}

template <class Prepare>
void loop::submit_unawaited(Prepare prepare) {
    io_uring_sqe& sqe = ring_.entry();
    prepare(sqe);
    sqe.user_data = 0;
    if (has(capability::skip_success)) sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

inline bool waiting::suspend(std::coroutine_handle<> task, strand* strand) noexcept {
    if (strand->canceled()) return false;
    suspend_uncancellable(task, strand);
    strand->current_ = this;
    return true;
}

inline void waiting::suspend_uncancellable(std::coroutine_handle<> task, strand* strand) noexcept {
    strand_ = strand;
    task_ = task;
}

inline void waiting::stay() noexcept { strand_->current_ = nullptr; }

inline void waiting::wake() noexcept {
    stay();
    task_loop().ready_.push(task_);
}

inline loop& waiting::task_loop() const noexcept { return strand_->own_loop(); }

template <class Service>
Service& loop::service() {
    for (auto& [type, made] : services_)
        if (type == typeid(Service)) return static_cast<Service&>(*made);
    services_.emplace_back(typeid(Service), std::make_unique<Service>(*this));
    return static_cast<Service&>(*services_.back().second);
}

namespace detail {

template <class T>
task<void> keep(task<T> running, std::optional<T>& value, bool& ended) {
    value.emplace(co_await running);
    ended = true;
}

inline task<void> keep(task<void> running, bool& ended) {
    co_await running;
    ended = true;
}

} // namespace detail

template <class T>
void loop::spawn(task<T> child) {
    running_scope().spawn(std::move(child));
}

template <class T>
T loop::run(task<T> main) {
    begin_run();
    bool ended = false;
    if constexpr (std::is_void_v<T>) {
        root_->spawn(detail::keep(std::move(main), ended));
        run_until(ended);
    } else {
        std::optional<T> value;
        root_->spawn(detail::keep(std::move(main), value, ended));
        run_until(ended);
        return std::move(*value);
    }
}

} // namespace ringdown
