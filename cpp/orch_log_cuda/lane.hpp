// What one engine stream, or one graph that is being captured, needs of the device.
#ifndef ORCH_LOG_CUDA_LANE_HPP
#define ORCH_LOG_CUDA_LANE_HPP

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include <cuda_runtime_api.h>

#include "kernels.cuh"
#include "mapped.hpp"

namespace orch_log {
namespace cuda {

/// Thread blocks of the largest launch. Two for each multiprocessor of the largest devices so far.
constexpr u32 max_blocks = 320;

/// Host memory that deliveries go to in turn: pass p has buffer p mod `count`. Lives as long as the context, since what is on its
/// way may still go there.
struct Buffers {
    Mapped memory;         ///< The buffers, then the words that `headers` and `taken` point to.
    std::uint64_t bytes;   ///< Of one buffer.
    u32 count;
    Buffers* older;        ///< Smaller ones, which earlier passes went to.

    static std::size_t bytes_for(std::uint64_t bytes, u32 count) noexcept { return static_cast<std::size_t>((bytes + 24) * count); }

    /// As `Delivery::headers`, for the host.
    u64* headers() const noexcept { return reinterpret_cast<u64*>(memory.host() + bytes * count); }
    u64* device_headers() const noexcept { return reinterpret_cast<u64*>(memory.device() + bytes * count); }
    /// For each buffer the last pass, counted from 1, that the host needs no more.
    u64* taken() const noexcept { return headers() + 2 * std::size_t{count}; }
    u64* device_taken() const noexcept { return device_headers() + 2 * std::size_t{count}; }
    unsigned char* of_pass(u64 pass) const noexcept { return memory.host() + pass % count * bytes; }
    /// The pass that a buffer holds, counted from 1; 0 while it is written.
    u64 held(u64 pass) const noexcept { return __atomic_load_n(headers() + 2 * (pass % count), __ATOMIC_ACQUIRE); }
    u64 nbytes(u64 pass) const noexcept { return headers()[2 * (pass % count) + 1]; }
};

/// Says when the graph of a capture, and all that was made of it, is gone. CUDA calls `end` then, from a thread of its own.
struct Lease {
    std::atomic<bool> is_over{false};
    static void end(void* lease) noexcept { static_cast<Lease*>(lease)->is_over.store(true, std::memory_order_release); }
};

/// 0, or for the stream that each thread has one of, though its handle is the same in all, the calling thread's number.
inline u64 thread_of(cudaStream_t stream) noexcept {
#if defined(__CUDA_API_PER_THREAD_DEFAULT_STREAM) || defined(CUDA_API_PER_THREAD_DEFAULT_STREAM)
    const bool is_per_thread = stream == nullptr || stream == cudaStreamPerThread;
#else
    const bool is_per_thread = stream == cudaStreamPerThread;
#endif
    static std::atomic<u64> threads_so_far{0};
    static thread_local u64 number = 0;
    if (is_per_thread && number == 0) number = threads_so_far.fetch_add(1, std::memory_order_relaxed) + 1;
    return is_per_thread ? number : 0;
}

/// A stream (`capture` 0) or a capture of it. Kernels of one lane run one after the other, also when a graph is
/// replayed, so they may share its scratch; those of two lanes may overlap. Lanes of streams live as long as the process, those of
/// captures until their graph is gone: it may be replayed at any time.
struct Lane {
    cudaStream_t stream = nullptr;
    u64 thread = 0;                       ///< Of a stream that each thread has one of, else 0.
    unsigned long long capture = 0;
    u32 index = 0;
    Lease* lease = nullptr;               ///< Of a capture; null where CUDA does not tell of its end.
    bool has_asked_for_lease = false;

    Scratch scratch = {nullptr, nullptr, nullptr};
    cudaStream_t side = nullptr;
    cudaEvent_t forked = nullptr;
    cudaEvent_t joined = nullptr;
    bool side_is_busy = false;
    cudaGraphNode_t last_node = nullptr;  ///< Of a capture: what the next record waits for.
    cudaGraphNode_t batch_node = nullptr; ///< Of a capture: reads `batch`, which has room for more.
    cudaGraphNode_t batch_waits_for = nullptr;  ///< The engine's work that the batch waits for, as added last.
    Batch batch = {};                     ///< Of a stream: tensors that are read together with those that follow.
    bool has_ends = false;                ///< Of a stream: somebody ends its passes, so that what was put off is read.

    u8* snapshots = nullptr;              ///< Device memory, allocated when first needed.
    std::uint64_t used = 0;
    std::uint64_t delivered = 0;          ///< Snapshots before this have been delivered.
    u64* pass = nullptr;                  ///< Device: deliveries so far.
    u32* deliver_ticket = nullptr;        ///< Device.

    std::atomic<Buffers*> buffers{nullptr};
    bool cannot_grow = false;             ///< There is no memory for larger buffers: of a pass comes what fits.
    std::atomic<bool> is_undeliverable{false};  ///< There is no memory for its payloads: nobody waits for one.

    /// Whether it can be another capture's. What it has on the device and on the host it keeps.
    bool is_free() const noexcept { return lease != nullptr && lease->is_over.load(std::memory_order_acquire); }
    void begin_again(cudaStream_t other_stream, u64 other_thread, unsigned long long other_capture) noexcept {
        std::free(lease);
        lease = nullptr;
        has_asked_for_lease = false;
        stream = other_stream;
        thread = other_thread;
        capture = other_capture;
        last_node = nullptr;
        batch_node = nullptr;
        batch_waits_for = nullptr;
        batch.count = 0;
        used = 0;
        delivered = 0;
    }
};

/// Device memory for the scratch of one lane: partials, then counters that begin as zeros, 64 bytes apart.
constexpr std::size_t counter_bytes = 256;
constexpr std::size_t scratch_bytes = sizeof(Partial) * max_blocks + counter_bytes;

}  // namespace cuda
}  // namespace orch_log

#endif
