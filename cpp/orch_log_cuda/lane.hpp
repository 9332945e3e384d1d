// What one engine stream, or one graph that is being captured, needs of the device.
#ifndef ORCH_LOG_CUDA_LANE_HPP
#define ORCH_LOG_CUDA_LANE_HPP

#include <atomic>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels.cuh"

namespace orch_log {
namespace cuda {

/// Thread blocks of the largest launch. Two for each multiprocessor of the largest devices so far.
constexpr u32 max_blocks = 320;

/// Mapped host memory that deliveries go to in turn: pass p has buffer p mod `count`. Lives as long as the process, since what
/// is on its way may still go there.
struct Buffers {
    u8* memory;
    std::uint64_t bytes;   ///< Of one buffer.
    u32 count;
    u64* headers;          ///< As `Delivery::headers`.
    u64* taken;            ///< For each buffer the last pass, counted from 1, that the host needs no more. Mapped.
    Buffers* older;        ///< Smaller ones, which earlier passes went to.

    unsigned char* of_pass(u64 pass) const noexcept { return memory + pass % count * bytes; }
    /// The pass that a buffer holds, counted from 1; 0 while it is written.
    u64 held(u64 pass) const noexcept { return __atomic_load_n(headers + 2 * (pass % count), __ATOMIC_ACQUIRE); }
    u64 nbytes(u64 pass) const noexcept { return headers[2 * (pass % count) + 1]; }
};

/// A stream (`capture` 0) or a capture of it. Kernels of one lane run one after the other, also when a graph is
/// replayed, so they may share its scratch; those of two lanes may overlap. Lanes live as long as the process:
/// a graph may be replayed at any time.
struct Lane {
    cudaStream_t stream = nullptr;
    unsigned long long capture = 0;
    u32 index = 0;

    Scratch scratch = {nullptr, nullptr, nullptr};
    cudaStream_t side = nullptr;
    cudaEvent_t forked = nullptr;
    cudaEvent_t joined = nullptr;
    bool side_is_busy = false;
    cudaGraphNode_t last_node = nullptr;  ///< Of a capture: what the next record waits for.
    cudaGraphNode_t batch_node = nullptr; ///< Of a capture: reads `batch`, which has room for more.
    cudaGraphNode_t batch_waits_for = nullptr;  ///< The engine's work that the batch waits for, as added last.
    Batch batch = {};

    u8* snapshots = nullptr;              ///< Device memory, allocated when first needed.
    std::uint64_t used = 0;
    std::uint64_t delivered = 0;          ///< Snapshots before this have been delivered.
    u64* pass = nullptr;                  ///< Device: deliveries so far.
    u32* deliver_ticket = nullptr;        ///< Device.

    std::atomic<Buffers*> buffers{nullptr};
};

/// Device memory for the scratch of one lane: partials, then counters that begin as zeros, 64 bytes apart.
constexpr std::size_t counter_bytes = 256;
constexpr std::size_t scratch_bytes = sizeof(Partial) * max_blocks + counter_bytes;

}  // namespace cuda
}  // namespace orch_log

#endif
