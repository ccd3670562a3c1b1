#include <ringdown/shutdown/server/supervisor.hpp>

// A build without libsystemd knows no service manager.

namespace ringdown {

supervisor::supervisor() = default;

bool supervisor::built_in() noexcept { return false; }

} // namespace ringdown
