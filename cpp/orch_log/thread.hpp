// Memory of a thread: the line that it composes and, with ORCH_LOG_BUFFER, what it holds back.
#ifndef ORCH_LOG_THREAD_HPP
#define ORCH_LOG_THREAD_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <pthread.h>
#include <sched.h>

namespace orch_log {

class Recorder;

namespace detail {

/// Lines that a thread holds back. Never freed, only handed on to a later thread: whoever flushes may
/// look at one at any time, during exit too.
struct Pending {
    Pending* next = nullptr;
    std::atomic<bool> in_use{true};
    std::atomic<bool> locked{false};
    std::atomic<unsigned> generation{0};  // of `fork_generation`, when the lines were composed
    Recorder* owner = nullptr;            // whose lines these are; null when there are none
    char* data = nullptr;
    std::size_t capacity = 0;
    std::size_t size = 0;
    std::uint64_t records = 0;
};

/// Process-wide, constant-initialised and without destructors: alive before the first constructor and
/// after the last destructor.
inline std::atomic<Pending*> all_pending{nullptr};
inline std::atomic<unsigned> fork_generation{0};
inline std::atomic<bool> exit_reached{false};

/// The child must not write what its parent holds back: only a counter is touched, so the handler
/// is safe whatever the parent was doing.
inline void watch_forks() noexcept {
    static std::atomic<bool> watching{false};
    if (watching.exchange(true)) return;
    pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });
}

/// The owner tries once and does without on failure; only a flush waits, and only for one append.
class PendingLock {
public:
    PendingLock(Pending& pending, bool wait) noexcept : pending_(pending) {
        while (pending_.locked.exchange(true, std::memory_order_acquire)) {
            if (!wait) return;
            sched_yield();
        }
        held_ = true;
    }
    PendingLock(const PendingLock&) = delete;
    PendingLock& operator=(const PendingLock&) = delete;
    ~PendingLock() {
        if (held_) pending_.locked.store(false, std::memory_order_release);
    }
    explicit operator bool() const noexcept { return held_; }

private:
    Pending& pending_;
    bool held_ = false;
};

/// Trivially destructible on purpose: after a thread's destructors have run it is still there, and
/// a destructor that logs late finds it.
struct ThreadState {
    char* line = nullptr;
    std::size_t capacity = 0;
    Pending* pending = nullptr;
    bool busy = false;    // a signal handler that logs inside a logging call is turned away
    bool ending = false;  // this thread's destructors have run: keep nothing from now on
    bool watched = false;
};

inline thread_local ThreadState thread_state;

void write_pending(Pending& pending) noexcept;  // recorder.hpp

/// Runs at the end of a thread: hands back what `thread_state` points to.
struct ThreadEnd {
    ~ThreadEnd() {
        ThreadState& state = thread_state;
        state.ending = true;
        std::free(state.line);
        state.line = nullptr;
        state.capacity = 0;
        if (state.pending == nullptr) return;
        {
            const PendingLock lock(*state.pending, true);
            write_pending(*state.pending);
        }
        state.pending->in_use.store(false, std::memory_order_release);
        state.pending = nullptr;
    }
};

/// Has `ThreadEnd` run at the end of the calling thread. A variable of the function, because one of the namespace would
/// leave code in every program that only includes this header.
inline void watch_thread_end() noexcept {
    static thread_local ThreadEnd end;
    (void)end;
}

/// The calling thread's line buffer for the length of one logging call.
class LineBuffer {
public:
    LineBuffer() noexcept : state_(thread_state), owned_(!state_.busy) {
        state_.busy = true;
        if (state_.watched) return;
        state_.watched = true;
        watch_thread_end();
    }
    LineBuffer(const LineBuffer&) = delete;
    LineBuffer& operator=(const LineBuffer&) = delete;
    ~LineBuffer() {
        if (!owned_) return;
        if (state_.ending) {
            std::free(state_.line);
            state_.line = nullptr;
            state_.capacity = 0;
        }
        state_.busy = false;
    }

    /// False inside another logging call of the same thread.
    bool owned() const noexcept { return owned_; }
    ThreadState& state() noexcept { return state_; }

    /// Room for `bytes`, or null. Allocates only when a record is larger than all before it.
    char* reserve(std::size_t bytes) noexcept {
        if (bytes <= state_.capacity) return state_.line;
        std::size_t capacity = bytes < first_bytes ? first_bytes : bytes + bytes / 2;
        char* line = static_cast<char*>(std::malloc(capacity));
        if (line == nullptr) return nullptr;
        std::free(state_.line);
        state_.line = line;
        state_.capacity = capacity;
        return line;
    }

private:
    static constexpr std::size_t first_bytes = 16384;
    ThreadState& state_;
    bool owned_;
};

/// A `Pending` for the calling thread: one that an ended thread left, or a new one. Null without memory.
inline Pending* claim_pending() noexcept {
    for (Pending* pending = all_pending.load(std::memory_order_acquire); pending != nullptr; pending = pending->next) {
        bool expected = false;
        if (pending->in_use.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) return pending;
    }
    void* memory = std::malloc(sizeof(Pending));
    if (memory == nullptr) return nullptr;
    Pending* pending = new (memory) Pending;
    pending->next = all_pending.load(std::memory_order_relaxed);
    while (!all_pending.compare_exchange_weak(pending->next, pending, std::memory_order_release,
                                              std::memory_order_relaxed)) {
    }
    return pending;
}

}  // namespace detail
}  // namespace orch_log

#endif
