#pragma once

#include <cstdint>
#include <deque>

namespace ringdown {

/// Which byte of the application each record ends with, in the order in which records are sent: so
/// a count of bytes of the wire tells how many of the application's have gone with them.
///
/// What it answers may be less than the truth, never more.
class record_map {
public:
    /// A place in the stream, counted both ways.
    struct place {
        std::uint64_t wire = 0;
        std::uint64_t plain = 0;
    };

    /// Up to here both have gone already.
    explicit record_map(const place& from) noexcept : before_(from), last_(from) {}

    /// The next record ends here.
    void add(const place& end) {
        records_.push_back(end);
        last_ = end;
    }
    /// The last place that was added.
    [[nodiscard]] const place& last() const noexcept { return last_; }

    /// How many bytes of the application have gone with the first `wire` bytes.
    [[nodiscard]] std::uint64_t plain_within(std::uint64_t wire) const noexcept;

    /// Nobody will ask about fewer bytes of the wire than these.
    void forget(std::uint64_t wire) noexcept;
    /// Forgets every other place within so many bytes of the wire, and not the last of them.
    void thin(std::uint64_t wire);
    [[nodiscard]] std::size_t size() const noexcept { return records_.size(); }

private:
    place before_;
    place last_;
    std::deque<place> records_;
};

} // namespace ringdown
