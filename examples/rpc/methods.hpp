#pragma once

#include <stdexcept>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/task.hpp>

#include "message.hpp"

namespace rpc {

/// A call that failed: the caller's answer is this error.
struct call_failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Runs the method that is asked for, and packs its result.
///
/// False when it was cancelled, so that there is no answer. Throws `call_failed`.
/// Methods: `echo(x)` answers x; `sleep(ms)` answers ms after that time; `fail(text)` fails.
/// Lifetime: `asked`, what it refers to and `result` stay until the task has ended.
ringdown::task<bool> invoke(const message& asked, msgpack::packer<packed>& result);

} // namespace rpc
