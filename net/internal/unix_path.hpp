#pragma once

#include <atomic>
#include <optional>
#include <string>

#include <sys/types.h>

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

/// What is done with the file by which clients find a unix socket.
struct unix_path_options {
    /// The permissions of the file, whatever the umask says; whoever may write may connect. It
    /// never has others, not even before. Absent: 0777 less the umask.
    std::optional<mode_t> mode{};
    /// Leaves the file when the socket ends; else it is removed when newcomers are refused, or the
    /// last who uses the socket has let go.
    bool keep = false;
    /// Replaces a socket that nobody has open any more, such as a server leaves that was killed.
    /// False: any file at the path is `address_in_use`.
    bool take_over = true;
};

/// The path that a listening unix socket is bound to, and whose file that is.
///
/// Only the socket's own file is removed, known by device and inode, and only by the process that
/// bound it: not a successor's that took its place, not by a forked child.
/// A path is taken over only when it names a socket that no process has open, whether it listens
/// there or not; which the kernel tells without troubling whoever has. Those who bind, take over or
/// remove do so one after the other, by flock(2) on the folder; of two that start at once, one gets
/// the path. A socket that is open is waited for, a quarter of a second at most, because the kernel
/// closes that of a killed server some milliseconds after its end. Where the folder cannot be
/// locked (no permission to read it, or somebody holds it for more than a second), nothing is taken
/// over.
class unix_path {
public:
    /// Owns nothing, as sockets do that have no path.
    explicit unix_path(system_calls& calls) noexcept : calls_(calls) {}
    unix_path(const unix_path&) = delete;
    unix_path& operator=(const unix_path&) = delete;

    /// Binds the socket, taking the path over if it may: 0 or a negated errno, that of bind(2)
    /// mostly. Addresses without a path are only bound.
    int bind(int fd, const address& at, const unix_path_options& options);

    /// Removes the file, if it is still the socket's own. To be called before the socket is closed,
    /// because until then no other file can have its inode. Threads: any.
    void remove() noexcept;

private:
    struct identity {
        dev_t device = 0;
        ino_t inode = 0;
        bool operator==(const identity&) const = default;
    };
    class folder_lock;

    int bind_locked(int fd, const address& at, const unix_path_options& options, bool& may_end);
    int clear(const address& at, bool& may_end) noexcept;
    int own(const unix_path_options& options) noexcept;

    system_calls& calls_;
    std::string path_; // absolute, because the working folder may change
    identity file_;
    int bound_by_ = 0; // the process
    std::atomic<bool> owned_ = false;
};

} // namespace ringdown
