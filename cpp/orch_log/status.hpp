// What a logging call answers, and what a recorder remembers of its own health.
#ifndef ORCH_LOG_STATUS_HPP
#define ORCH_LOG_STATUS_HPP

#include <cstdint>

namespace orch_log {

/// The answer of every logging call. Nothing here is an exception: an engine may ignore it (cast to
/// void) and go on.
enum class [[nodiscard]] Status : std::uint8_t {
    written,           ///< The kernel has the record: it survives SIGKILL of this process.
    buffered,          ///< `ORCH_LOG_BUFFER` is set: the record survives once the buffer is written.
    off,               ///< No `ORCH_LOG_FILE`, or the recorder is not open.
    filtered,          ///< `ORCH_LOG_FILTER` or `ORCH_LOG_TOKENS` leaves this record out.
    limit_reached,     ///< `ORCH_LOG_MAX_BYTES` is used up; counted as dropped.
    device_pointer,    ///< The pointer is CUDA device memory: not read, counted as dropped.
    invalid_argument,  ///< A null pointer, a negative count, too many axes; counted as dropped.
    unknown_dtype,     ///< Untyped memory with a dtype that the header cannot read; counted as dropped.
    write_failed,      ///< `write(2)` failed, see `Health::last_errno`; counted as dropped.
    out_of_memory,     ///< No memory for the line; counted as dropped.
    reentered,         ///< Called from a signal handler that interrupted a logging call; dropped.
    overtaken,         ///< The device wrote faster than the host could read: the ring is too small; counted as dropped.
    device_failed,     ///< A CUDA call failed; counted as dropped.
    never_arrived,     ///< The device stopped before it had read the tensor; counted as dropped.
    host_pointer,      ///< The pointer is host memory that the device cannot read; counted as dropped.
    no_snapshot,       ///< No room on the device for a payload; counted as a dropped payload.
    undelivered,       ///< No `ORCH_LOG_CUDA_STEP` brought a payload to the host in time; counted as a dropped payload.
    no_end,            ///< With `ORCH_LOG_CUDA_MODE=side` the pass of a tensor had no end; counted as dropped.
    payload_overtaken, ///< The device wrote over a payload that the host had not written yet; counted as a dropped payload.
};

/// True when nothing that should be in the trace is missing from it.
constexpr bool is_ok(Status status) noexcept {
    return status == Status::written || status == Status::buffered || status == Status::off ||
           status == Status::filtered;
}

/// A lowercase phrase for a message of the caller's own.
constexpr const char* describe(Status status) noexcept {
    switch (status) {
        case Status::written: return "written";
        case Status::buffered: return "buffered, not yet written";
        case Status::off: return "logging is off: set ORCH_LOG_FILE to a writable path";
        case Status::filtered: return "left out by ORCH_LOG_FILTER or ORCH_LOG_TOKENS";
        case Status::limit_reached: return "ORCH_LOG_MAX_BYTES is used up";
        case Status::device_pointer: return "device pointer given to the host logger: copy it to the host first";
        case Status::invalid_argument: return "null pointer, negative count or more than 8 axes";
        case Status::unknown_dtype: return "dtype unknown for untyped memory: pass a typed pointer";
        case Status::write_failed: return "write failed";
        case Status::out_of_memory: return "out of memory";
        case Status::reentered: return "called from a signal handler inside a logging call";
        case Status::overtaken: return "the device wrote faster than the host could read: set ORCH_LOG_CUDA_SLOTS";
        case Status::device_failed: return "a CUDA call failed";
        case Status::never_arrived: return "the device stopped before it had read the tensor: a kernel crashed, the device was reset, or the program ended";
        case Status::host_pointer: return "host pointer given to the device logger: use ORCH_LOG_JSON_TOKEN, or log where the device has it";
        case Status::no_snapshot: return "no room on the device for a payload: set ORCH_LOG_CUDA_SNAPSHOTS";
        case Status::undelivered: return "no payload came to the host: end each pass with ORCH_LOG_CUDA_STEP";
        case Status::no_end: return "with ORCH_LOG_CUDA_MODE=side a pass is read at its end, and one had none: call ORCH_LOG_CUDA_STEP";
        case Status::payload_overtaken:
            return "the device brought payloads faster than the host could write them: set ORCH_LOG_CUDA_BUFFERS or ORCH_LOG_CUDA_WAIT";
    }
    return "unknown status";
}

/// What a recorder has done so far; a snapshot of counters that other threads go on changing.
struct Health {
    std::uint64_t written = 0;           ///< Records handed to the kernel (or to a thread's buffer).
    std::uint64_t dropped = 0;           ///< Records lost, for whatever reason but a filter.
    std::uint64_t payloads_dropped = 0;  ///< Payloads lost; their records were written without `payload`.
    std::uint64_t bytes = 0;             ///< Bytes of records and payloads.
    int last_errno = 0;                  ///< `errno` of the latest failed system call, 0 when none failed.
    Status last_reason = Status::written;  ///< Why the latest loss happened; `written` when there was none.

    /// True when nothing was lost.
    constexpr bool complete() const noexcept { return dropped == 0 && payloads_dropped == 0; }
};

}  // namespace orch_log

#endif
