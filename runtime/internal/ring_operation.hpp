#pragma once

#include <cstdint>

#include <ringdown/runtime/ring.hpp>

namespace ringdown {

class loop;

/// Something that the kernel completes: the address that goes out as `user_data`.
///
/// In flight from its submission to the completion without MORE. Until then the kernel may use
/// every buffer that it names, so it stays where it is and is not destroyed.
class ring_operation {
public:
    ring_operation& operator=(ring_operation&&) = delete;

    [[nodiscard]] bool in_flight() const noexcept { return in_flight_; }
    [[nodiscard]] const char* name() const noexcept { return name_; }

protected:
    explicit ring_operation(const char* name) noexcept : name_(name) {}
    /// Only before it is submitted.
    ring_operation(ring_operation&& other) noexcept : name_(other.name_) {}
    ~ring_operation() {
        if (in_flight_) [[unlikely]]
            misuse_in_flight();
    }

    /// Puts the operation into the loop's submission queue: `prepare(sqe)` fills its entry, all but
    /// the user data. It is in flight from now on.
    template <class Prepare>
    void submit(loop& loop, Prepare prepare);

    /// As `submit`, for what the kernel does in the breath of its submission, and with success
    /// unless something is very wrong. Then it tells nothing, and the operation completes, with 0,
    /// when it has been submitted.
    template <class Prepare>
    void submit_silently(loop& loop, Prepare prepare);

    /// Asks the kernel to end the operation early; its own final completion still comes. The loop
    /// is the one that it was submitted to: what an operation belongs to knows it.
    void request_cancel(loop& loop);

    /// A completion has arrived; `in_flight` is false if it was the last. Resumes nothing.
    virtual void completed(completion what) noexcept = 0;

private:
    friend class loop;

    [[noreturn]] void misuse_in_flight() const noexcept;

    const char* name_;
    bool in_flight_ = false;
    bool cancel_requested_ = false;
    bool silent_ = false; // a completion comes only if it fails
};

} // namespace ringdown
