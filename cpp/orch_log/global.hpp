// The recorder that the environment asks for.
#ifndef ORCH_LOG_GLOBAL_HPP
#define ORCH_LOG_GLOBAL_HPP

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <unistd.h>

#include "recorder.hpp"
#include "settings.hpp"

namespace orch_log {
namespace detail {

/// Null before the first use, `off_recorder()` without a trace, else a recorder that lives as long as the
/// process. Constant-initialised and never destroyed: it serves before the first constructor and after the
/// last destructor, whose order no logger should depend on.
inline std::atomic<Recorder*> global_recorder{nullptr};

/// An address that no recorder can have.
inline Recorder* off_recorder() noexcept { return reinterpret_cast<Recorder*>(std::uintptr_t{1}); }

inline void complain(const Problems& problems) noexcept {
    if (!problems.any()) return;
    char line[4200];
    const int length = std::snprintf(line, sizeof line, "orch_log: %s\n", problems.text());
    if (length > 0) (void)!::write(STDERR_FILENO, line, static_cast<std::size_t>(length));
}

/// The process that opened the recorder.
inline std::atomic<pid_t> opened_by{0};

/// For buffered lines, which a normal exit should not lose, and for losses that no later record tells of. Nothing that it
/// touches is ever destroyed, so its place among other exit handlers does not matter; records that come later are written
/// at once. A forked child has the counts of its parent, who tells of them.
inline void finish_at_exit() noexcept {
    exit_reached.store(true);
    Recorder* recorder = global_recorder.load(std::memory_order_acquire);
    if (recorder == nullptr || recorder == off_recorder()) return;
    const CallGuard guard;
    recorder->write_held_back(true);
    if (opened_by.load(std::memory_order_relaxed) == ::getpid()) recorder->tell_losses();
}

inline Recorder* open_recorder(Problems& problems) noexcept {
    const Settings settings = settings_from_env(problems);
    if (settings.path.empty()) return off_recorder();
    void* memory = std::malloc(sizeof(Recorder));
    if (memory == nullptr) return off_recorder();
    Recorder* recorder = new (memory) Recorder;
    const Status status = recorder->open(settings);
    if (status == Status::written) return recorder;
    char reason[96];
    char other[32];
    const std::string_view text = status == Status::write_failed ? error_text(recorder->health().last_errno, other)
                                                                 : std::string_view(describe(status));
    std::snprintf(reason, sizeof reason, "cannot be opened (%.*s)", static_cast<int>(text.size()), text.data());
    problems.add("ORCH_LOG_FILE", settings.path.data(), reason, "nothing is logged");
    recorder->~Recorder();
    std::free(memory);
    return off_recorder();
}

/// Opens the trace. Threads that come here together each open it, and all but the first drop theirs:
/// nobody waits, so a fork in the middle of this cannot leave a lock behind.
inline Recorder* start_global() noexcept {
    const CallGuard guard;
    Problems problems;
    Recorder* fresh = open_recorder(problems);
    Recorder* winner = nullptr;
    if (global_recorder.compare_exchange_strong(winner, fresh, std::memory_order_acq_rel)) {
        complain(problems);
        if (fresh != off_recorder()) {
            fresh->describe_start();
            opened_by.store(::getpid(), std::memory_order_relaxed);
            (void)std::atexit([] { finish_at_exit(); });
        }
        return fresh;
    }
    if (fresh != off_recorder()) {
        fresh->~Recorder();
        std::free(fresh);
    }
    return winner;
}

}  // namespace detail

/// The recorder of this process: a trace at `ORCH_LOG_FILE`, opened at the first call; null when that is
/// unset or cannot be opened. An existing trace is appended to: several processes may log into one file.
inline Recorder* global() noexcept {
    Recorder* recorder = detail::global_recorder.load(std::memory_order_relaxed);
    if (recorder == detail::off_recorder()) return nullptr;
    if (recorder == nullptr) {
        recorder = detail::start_global();
        return recorder == detail::off_recorder() ? nullptr : recorder;
    }
    return detail::global_recorder.load(std::memory_order_acquire);  // a fence would do too, but TSan knows none
}

/// Logs to the process's recorder, whether or not `ORCH_LOGGING` is defined; `off` without a trace.
template <class Tensor, class = decltype(TensorView(std::declval<const Tensor&>()))>
inline Status log(const Event& event, const Tensor& tensor) noexcept {
    Recorder* recorder = global();
    return recorder == nullptr ? Status::off : recorder->log(event, tensor);
}

/// True when a record would be written: ask before an expensive copy.
inline bool wants(std::string_view checkpoint, std::int64_t token_idx, std::uint64_t n_tokens = 1) noexcept {
    const Recorder* recorder = global();
    return recorder != nullptr && recorder->wants(checkpoint, token_idx, n_tokens);
}

/// Replaces `NAME.run.json` by one that holds what the engine knows about this run.
inline Status describe_run(const Run& run) noexcept {
    Recorder* recorder = global();
    return recorder == nullptr ? Status::off : recorder->describe_run(run);
}

/// Returns when everything that this process logged is on the disk (`fsync`). Without a trace, at once.
inline Status flush() noexcept {
    Recorder* recorder = detail::global_recorder.load(std::memory_order_acquire);
    return recorder == nullptr || recorder == detail::off_recorder() ? Status::off : recorder->flush();
}

/// What became of this process's records so far.
inline Health status() noexcept {
    const Recorder* recorder = detail::global_recorder.load(std::memory_order_acquire);
    return recorder == nullptr || recorder == detail::off_recorder() ? Health{} : recorder->health();
}

}  // namespace orch_log

#endif
