// The trace file: one record, one `write(2)`, and what happens when that fails.
#ifndef ORCH_LOG_SINK_HPP
#define ORCH_LOG_SINK_HPP

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "file.hpp"
#include "line.hpp"
#include "status.hpp"
#include "text.hpp"

namespace orch_log {
namespace detail {

/// `strerror` is neither thread-safe nor free of locales and allocation; these are the usual reasons.
inline std::string_view error_text(int error, char (&other)[32]) noexcept {
    switch (error) {
        case ENOSPC: return "no space left on device";
        case EDQUOT: return "disk quota exceeded";
        case EFBIG: return "file too large";
        case EIO: return "input/output error";
        case EBADF: return "bad file descriptor";
        case ENOMEM: return "out of memory";
        case EINVAL: return "invalid argument";
        case ENOENT: return "no such file or directory";
        case EACCES: return "permission denied";
        case EROFS: return "read-only file system";
        default: break;
    }
    const int length = std::snprintf(other, sizeof other, "errno %d", error);
    return {other, length > 0 ? static_cast<std::size_t>(length) : 0};
}

/// An `O_APPEND` descriptor and its counters. No lock: the kernel orders the writes.
class Sink {
public:
    /// Opens the trace; false with `errno` set. `team` becomes a JSON string.
    bool open(const char* path, std::string_view team, bool truncate, std::uint64_t max_bytes) noexcept {
        char* quoted = static_cast<char*>(std::malloc(quoted_bytes(team)));
        if (quoted == nullptr) return errno = ENOMEM, false;
        Line line(quoted);
        line.quoted(team);
        const bool copied = team_.assign({line.data(), line.size()});
        std::free(quoted);
        if (!copied) return errno = ENOMEM, false;
        if (!file_.open_path(path, O_APPEND | (truncate ? O_TRUNC : 0))) return false;
        max_bytes_ = max_bytes;
        torn_.store(!truncate && ends_inside_a_line(path), std::memory_order_relaxed);
        return true;
    }

    bool is_open() const noexcept { return file_.is_open(); }
    /// Who logs, as a JSON string.
    std::string_view team() const noexcept { return team_.view(); }

    /// Writes `records` whole lines. `lines[-1]` must be writable: a line end goes there when a torn line
    /// lies before it.
    Status write(char* lines, std::size_t size, std::uint64_t records) noexcept {
        if (!reserve(size)) return lose(records, Status::limit_reached, 0);
        if (!write_whole(lines, size)) return lose(records, Status::write_failed, errno);
        written_.fetch_add(records, std::memory_order_relaxed);
        bytes_.fetch_add(size, std::memory_order_relaxed);
        if (untold_.load(std::memory_order_relaxed) != 0) tell();
        return Status::written;
    }

    /// Takes `bytes` from the limit, if it still has them.
    bool reserve(std::uint64_t bytes) noexcept {
        if (max_bytes_ == UINT64_MAX) return true;
        const std::uint64_t before = spent_.fetch_add(bytes, std::memory_order_relaxed);
        return before <= max_bytes_ && bytes <= max_bytes_ - before;
    }

    /// Counts lost records, and tells of the first of a run of losses at once: a short record may still
    /// fit where a long one did not. Of a byte limit it tells once, then only when flushed or closed: a trace whose
    /// limit is reached must not go on growing by reports of that.
    Status lose(std::uint64_t records, Status status, int error) noexcept {
        dropped_.fetch_add(records, std::memory_order_relaxed);
        remember(status, error);
        const bool first = untold_.fetch_add(records, std::memory_order_relaxed) == 0;
        if (status == Status::limit_reached && limit_told_.exchange(true, std::memory_order_relaxed)) return status;
        if (first) tell();
        return status;
    }

    /// Counts a payload that could not be written; its record is written without it.
    void lose_payload(Status status, int error) noexcept {
        payloads_dropped_.fetch_add(1, std::memory_order_relaxed);
        untold_.fetch_add(1, std::memory_order_relaxed);
        remember(status, error);
    }

    /// The same of payloads that a device was to bring. They come by the hundred: the trace does not tell of them before
    /// `tell_of_payloads`.
    void lose_device_payloads(std::uint64_t payloads, Status status, int error) noexcept {
        payloads_dropped_.fetch_add(payloads, std::memory_order_relaxed);
        remember(status, error);
    }

    void tell_of_payloads(std::uint64_t payloads) noexcept {
        untold_.fetch_add(payloads, std::memory_order_relaxed);
        tell();
    }

    void count_payload_bytes(std::uint64_t bytes) noexcept { bytes_.fetch_add(bytes, std::memory_order_relaxed); }

    /// Attempts one `orch_log.dropped` record. It may exceed the byte limit: it is what tells of it.
    void tell() noexcept {
        const std::uint64_t untold = untold_.load(std::memory_order_relaxed);
        if (untold == 0 || !is_open() || team_.view().size() > max_team_bytes) return;
        char text[512 + max_team_bytes];
        Line line(text + 1);
        line.literal("{\"checkpoint\":\"orch_log.dropped\",\"team\":");
        line.verbatim(team_.view());
        line.literal(",\"token_idx\":0,\"dtype\":\"u64\",\"shape\":\"[2]\",\"values\":[");
        line.number(dropped_.load(std::memory_order_relaxed));
        line.raw(',');
        line.number(payloads_dropped_.load(std::memory_order_relaxed));
        line.literal("],\"error\":");
        const Status reason = static_cast<Status>(last_reason_.load(std::memory_order_relaxed));
        char other[32];
        line.quoted(reason == Status::write_failed ? error_text(last_errno_.load(std::memory_order_relaxed), other)
                                                   : std::string_view(describe(reason)));
        line.literal("}\n");
        if (write_whole(text + 1, line.size())) untold_.fetch_sub(untold, std::memory_order_relaxed);
    }

    bool sync() noexcept { return file_.sync(); }

    Health health() const noexcept {
        Health health;
        health.written = written_.load(std::memory_order_relaxed);
        health.dropped = dropped_.load(std::memory_order_relaxed);
        health.payloads_dropped = payloads_dropped_.load(std::memory_order_relaxed);
        health.bytes = bytes_.load(std::memory_order_relaxed);
        health.last_errno = last_errno_.load(std::memory_order_relaxed);
        health.last_reason = static_cast<Status>(last_reason_.load(std::memory_order_relaxed));
        return health;
    }

    void close_now() noexcept { file_.close_now(); }

private:
    static constexpr std::size_t max_team_bytes = 2048;

    /// Appends `lines` in one system call.
    ///
    /// A short write (full disk, file size limit) leaves half a line in the file. Writing the rest later
    /// would not mend it: another thread's record may lie between. So the half line is ended and the
    /// record written again, whole, in one call; if that fails too, whoever writes next ends the line.
    bool write_whole(char* lines, std::size_t size) noexcept {
        for (int attempt = 0; attempt < 2; ++attempt) {
            const bool torn = torn_.load(std::memory_order_relaxed);
            const std::size_t more = torn ? 1 : 0;
            if (torn) lines[-1] = '\n';
            const std::size_t written = file_.append_once(lines - more, size + more);
            if (written == size + more) {
                if (torn) torn_.store(false, std::memory_order_relaxed);
                return true;
            }
            if (written == 0) return false;
            if (written > more) torn_.store(true, std::memory_order_relaxed);  // a lone line end is no half line
        }
        return false;
    }

    void remember(Status status, int error) noexcept {
        last_reason_.store(static_cast<std::uint8_t>(status), std::memory_order_relaxed);
        if (error != 0) last_errno_.store(error, std::memory_order_relaxed);
    }

    /// Whether a crash left half a line at the end of the file. One that cannot be read counts as whole.
    static bool ends_inside_a_line(const char* path) noexcept {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) return false;
        struct stat info;
        char last = '\n';
        const bool read = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
                          pread(fd, &last, 1, info.st_size - 1) == 1;
        ::close(fd);
        return read && last != '\n';
    }

    File file_;
    OwnedText team_;
    std::uint64_t max_bytes_ = UINT64_MAX;
    std::atomic<std::uint64_t> spent_{0};  // asked for so far, written or not: one operation checks the limit
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<std::uint64_t> written_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> payloads_dropped_{0};
    std::atomic<std::uint64_t> untold_{0};  // losses that no `orch_log.dropped` record tells of yet
    std::atomic<bool> limit_told_{false};
    std::atomic<bool> torn_{false};         // the file may end in the middle of a line
    std::atomic<int> last_errno_{0};
    std::atomic<std::uint8_t> last_reason_{0};
};

}  // namespace detail
}  // namespace orch_log

#endif
