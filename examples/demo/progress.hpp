#pragma once

#include "record.hpp"

#include <string_view>

namespace ringdown_demo {

/// Says how the run goes: one line that is overwritten on a terminal, a line a second elsewhere.
class progress {
public:
    explicit progress(clock::time_point started);
    /// Whether it is time for the next line.
    [[nodiscard]] bool is_due() const { return clock::now() >= next_; }
    void show(std::string_view what, std::string_view counts);
    /// Leaves the last line standing.
    void finish() const;

private:
    [[nodiscard]] clock::duration interval() const;

    clock::time_point started_;
    clock::time_point next_;
    bool terminal_;
};

} // namespace ringdown_demo
