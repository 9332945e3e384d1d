// System calls, each made so that the engine cannot notice: no signal, no cancellation, no errno.
#ifndef ORCH_LOG_FILE_HPP
#define ORCH_LOG_FILE_HPP

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#include <sys/types.h>
#include <unistd.h>

namespace orch_log {
namespace detail {

/// Keeps the caller's `errno`.
class ErrnoGuard {
public:
    ErrnoGuard() noexcept : errno_(errno) {}
    ErrnoGuard(const ErrnoGuard&) = delete;
    ErrnoGuard& operator=(const ErrnoGuard&) = delete;
    ~ErrnoGuard() { errno = errno_; }

private:
    int errno_;
};

/// Keeps a cancelled thread alive through library calls that are cancellation points: it would unwind through us.
class CancelGuard {
public:
#if defined(__ANDROID__)
    CancelGuard() noexcept {}
#else
    CancelGuard() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~CancelGuard() { pthread_setcancelstate(before_, nullptr); }
#endif
    CancelGuard(const CancelGuard&) = delete;
    CancelGuard& operator=(const CancelGuard&) = delete;

private:
    int before_ = 0;
};

/// Both, for everything but the usual record.
class CallGuard {
    ErrnoGuard errno_;
    CancelGuard cancel_;
};

/// `write(2)`, without the cancellation point that libc puts around it: turning cancellation off and on again would
/// cost as much as formatting two numbers.
inline ssize_t write_now(int fd, const char* data, std::size_t size) noexcept {
#if defined(__linux__)
    return static_cast<ssize_t>(syscall(SYS_write, fd, data, size));
#else
    const CancelGuard guard;
    return ::write(fd, data, size);
#endif
}

/// `write` and `pwrite` past RLIMIT_FSIZE raise SIGXFSZ, whose default is to end the process. Only
/// where such a limit is set: the signal is blocked, and one of ours taken back.
class FileSizeSignalGuard {
public:
    explicit FileSizeSignalGuard(bool limited) noexcept : active_(limited) {
        if (!active_) return;
        sigset_t pending;
        sigemptyset(&ours_);
        sigaddset(&ours_, SIGXFSZ);
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
        pthread_sigmask(SIG_BLOCK, &ours_, &before_);
    }
    FileSizeSignalGuard(const FileSizeSignalGuard&) = delete;
    FileSizeSignalGuard& operator=(const FileSizeSignalGuard&) = delete;
    ~FileSizeSignalGuard() {
        if (!active_) return;
        const int error = errno;
        sigset_t pending;
        sigpending(&pending);
        if (!was_pending_ && sigismember(&pending, SIGXFSZ) == 1) {
            int signal = 0;
            sigwait(&ours_, &signal);
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }

private:
    bool active_;
    bool was_pending_ = false;
    sigset_t ours_;
    sigset_t before_;
};

/// A descriptor above 2: a program that starts with its standard streams closed would otherwise print
/// into the trace.
inline int above_standard_streams(int fd) noexcept {
    if (fd < 0 || fd > 2) return fd;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return moved;
}

/// An open file that is only ever added to. Not owning a lock: the kernel orders the writes.
class File {
public:
    File() noexcept = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close_now(); }

    /// Opens or creates `path`; false with `errno` set. Regular files and character devices only:
    /// opening a FIFO could wait for its reader, and writing to one raise SIGPIPE.
    bool open_path(const char* path, int flags) noexcept {
        struct rlimit limit;
        limited_ = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
        int fd = -1;
        do {
            fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags, 0644);
        } while (fd < 0 && errno == EINTR);
        fd = above_standard_streams(fd);
        if (fd < 0) return false;
        struct stat info;
        if (fstat(fd, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISCHR(info.st_mode))) {
            ::close(fd);
            errno = EINVAL;
            return false;
        }
        fd_ = fd;
        return true;
    }

    bool is_open() const noexcept { return fd_ >= 0; }

    /// One `write(2)`; the bytes that went in. Fewer than `size` with `errno` set means a full disk, a
    /// limit or an I/O error: the rest is not tried again, since another process may have written after it.
    std::size_t append_once(const char* data, std::size_t size) noexcept {
        const FileSizeSignalGuard guard(limited_);
        ssize_t written = -1;
        do {
            errno = 0;
            written = write_now(fd_, data, size);
        } while (written < 0 && errno == EINTR);
        if (written < 0) return 0;
        if (static_cast<std::size_t>(written) < size) errno = ENOSPC;  // a short write says no reason
        return static_cast<std::size_t>(written);
    }

    /// All of `size` bytes at `offset`, in as many calls as it takes; false with `errno` set.
    bool write_at(const unsigned char* data, std::size_t size, std::uint64_t offset) noexcept {
        const CancelGuard no_cancel;
        const FileSizeSignalGuard guard(limited_);
        while (size > 0) {
            const ssize_t written = ::pwrite(fd_, data, size, static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) {
                if (written == 0) errno = ENOSPC;
                return false;
            }
            data += written;
            size -= static_cast<std::size_t>(written);
            offset += static_cast<std::uint64_t>(written);
        }
        return true;
    }

    /// Waits until the data is on disk. A device that cannot do that (`/dev/null`) is no failure.
    bool sync() noexcept { return fd_ < 0 || ::fsync(fd_) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS; }

    void close_now() noexcept {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

private:
    int fd_ = -1;
    bool limited_ = false;
};

}  // namespace detail
}  // namespace orch_log

#endif
