#pragma once

#include <string>
#include <vector>

namespace examples {

/// Something that a container, a service manager or a limit may deny to a server.
struct permit {
    std::string what;
    bool granted = false;
    bool needed = false; ///< Nothing works without it; else there is a way that costs more.
    std::string detail;  ///< What there is, or what would be right.
};

/// What this process may do, found out by trying; works where io_uring is denied as well.
std::vector<permit> permits();

} // namespace examples
