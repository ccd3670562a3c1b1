#pragma once

// Everything that an embedder uses; each header can also be included alone.
#include <ringdown/net/address.hpp>
#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/poll.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/signals.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/runtime/when.hpp>
#include <ringdown/shutdown/close.hpp>
#include <ringdown/shutdown/delivered.hpp>
#include <ringdown/shutdown/disconnect.hpp>
#include <ringdown/shutdown/ledger.hpp>
#include <ringdown/shutdown/peer_closed.hpp>
#include <ringdown/shutdown/peer_end_policy.hpp>
#include <ringdown/shutdown/report.hpp>
#include <ringdown/shutdown/server.hpp>
