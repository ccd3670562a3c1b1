#pragma once

#include <cstdint>
#include <vector>

#include <sys/types.h>

#include "scene.hpp"

namespace bench {

/// The peers of a scene, in a process of their own; notes when each got FIN and RST.
///
/// To be made before the server has threads. Ends the program when something fails.
class peers {
public:
    /// Connects them to 127.0.0.1; on the given CPU unless that is negative.
    peers(std::uint16_t port, const scene& crowd, int cpu);
    peers(const peers&) = delete;
    peers& operator=(const peers&) = delete;
    ~peers();

    /// Waits until each has had its end.
    void wait();
    /// When they saw it, in order of time; after `wait`.
    /// @{
    [[nodiscard]] std::vector<moment> fins() const;
    [[nodiscard]] std::vector<moment> resets() const;
    /// @}
    /// How long the process was ready while somebody else had its CPU.
    [[nodiscard]] double waited_nanoseconds() const;

private:
    struct board;

    std::size_t many_;
    board* board_;
    pid_t process_;
};

/// For what must not fail: ends the program, and says what did.
void must(bool held, const char* what);

} // namespace bench
