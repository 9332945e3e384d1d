// Adding our kernels to a graph that the engine is capturing, without touching the engine's own chain of work.
#ifndef ORCH_LOG_CUDA_CAPTURE_HPP
#define ORCH_LOG_CUDA_CAPTURE_HPP

#include <cstddef>
#include <cstdlib>
#include <new>

#include <cuda_runtime_api.h>

#include "kernels.cuh"
#include "lane.hpp"

namespace orch_log {
namespace cuda {
namespace impl {

/// What a stream is capturing into, and what its next work would wait for.
struct Capture {
    bool active = false;
    unsigned long long id = 0;
    cudaGraph_t graph = nullptr;
    const cudaGraphNode_t* waits_for = nullptr;
    std::size_t waits_for_count = 0;

    static Capture of(cudaStream_t stream) noexcept {
        Capture capture;
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
#if CUDART_VERSION >= 13000
        const cudaError_t error = cudaStreamGetCaptureInfo(stream, &status, &capture.id, &capture.graph, &capture.waits_for,
                                                           nullptr, &capture.waits_for_count);
#else
        const cudaError_t error = cudaStreamGetCaptureInfo_v2(stream, &status, &capture.id, &capture.graph, &capture.waits_for,
                                                              &capture.waits_for_count);
#endif
        capture.active = error == cudaSuccess && status == cudaStreamCaptureStatusActive;
        if (!capture.active) capture.id = 0;
        return capture;
    }
};

/// Asks CUDA to say when the graph is gone, so that an engine may capture as often as it likes. Where it will not, the lane stays
/// with the graph.
inline void ask_for_lease(Lane& lane, const Capture& capture) noexcept {
    if (lane.capture == 0 || lane.has_asked_for_lease) return;
    lane.has_asked_for_lease = true;
    void* memory = std::malloc(sizeof(Lease));
    if (memory == nullptr) return;
    Lease* lease = new (memory) Lease;
    cudaUserObject_t object = nullptr;
    if (cudaUserObjectCreate(&object, lease, &Lease::end, 1, cudaUserObjectNoDestructorSync) != cudaSuccess) {
        std::free(memory);
        return;
    }
    // If it cannot be retained it is left alone: to let it go would end the lease.
    if (cudaGraphRetainUserObject(capture.graph, object, 1, cudaGraphUserObjectMove) == cudaSuccess) lane.lease = lease;
}

inline cudaKernelNodeParams kernel_node(const void* kernel, u32 blocks, u32 block_threads, void** arguments) noexcept {
    cudaKernelNodeParams params = {};
    params.func = const_cast<void*>(kernel);
    params.gridDim = dim3(blocks);
    params.blockDim = dim3(block_threads);
    params.kernelParams = arguments;
    return params;
}

/// No more tensors are added to the batch: what comes next waits for it, or the engine does.
inline void close_batch(Lane& lane) noexcept {
    lane.batch_node = nullptr;
    lane.batch_waits_for = nullptr;
    lane.batch.count = 0;
}

/// Adds a kernel beside the engine's own work: the engine's next node does not wait for it, and nothing has to be joined at
/// the end, as a second captured stream would have to be.
inline bool add_beside(Lane& lane, cudaStream_t stream, const void* kernel, u32 blocks, u32 block_threads, void** arguments) noexcept {
    const Capture capture = Capture::of(stream);
    constexpr std::size_t most = 64;
    cudaGraphNode_t waits_for[most + 1];
    if (!capture.active || capture.waits_for_count > most) return false;
    std::size_t count = 0;
    for (; count < capture.waits_for_count; ++count) waits_for[count] = capture.waits_for[count];
    // Kernels of a lane come one after the other: they share its scratch.
    bool known = lane.last_node == nullptr;
    for (std::size_t i = 0; i < count; ++i) known = known || waits_for[i] == lane.last_node;
    if (!known) waits_for[count++] = lane.last_node;
    const cudaKernelNodeParams params = kernel_node(kernel, blocks, block_threads, arguments);
    cudaGraphNode_t node = nullptr;
    if (cudaGraphAddKernelNode(&node, capture.graph, waits_for, count, &params) != cudaSuccess) return false;
    close_batch(lane);
    lane.last_node = node;
    return true;
}

/// Makes the engine's next node wait for our kernels so far.
inline bool join_capture(Lane& lane, cudaStream_t stream) noexcept {
    if (lane.last_node == nullptr) return true;
    close_batch(lane);
#if CUDART_VERSION >= 13000
    return cudaStreamUpdateCaptureDependencies(stream, &lane.last_node, nullptr, 1, cudaStreamAddCaptureDependencies) == cudaSuccess;
#else
    return cudaStreamUpdateCaptureDependencies(stream, &lane.last_node, 1, cudaStreamAddCaptureDependencies) == cudaSuccess;
#endif
}

/// Adds a small tensor to the kernel that reads several of them, which then waits for the engine's work so far too. A node for
/// each tensor would take longer than the engine's own kernels.
inline bool add_to_batch(Lane& lane, cudaStream_t stream, const Job& job, u8 type, Ring& ring) noexcept {
    const Capture capture = Capture::of(stream);
    if (!capture.active || capture.waits_for_count != 1) return false;
    const bool fresh = lane.batch_node == nullptr || lane.batch.count == batch_jobs;
    if (fresh) close_batch(lane);
    lane.batch.jobs[lane.batch.count] = job;
    lane.batch.types[lane.batch.count] = type;
    ++lane.batch.count;
    void* arguments[] = {&lane.batch, &ring, &lane.scratch};
    const void* kernel = reinterpret_cast<const void*>(&log_batch<0>);
    const u32 count = lane.batch.count;
    if (fresh) {
        const Batch batch = lane.batch;
        if (!add_beside(lane, stream, kernel, count, threads, arguments)) return false;
        lane.batch = batch;
        lane.batch_node = lane.last_node;
        lane.batch_waits_for = capture.waits_for[0];
        return true;
    }
    const cudaKernelNodeParams params = kernel_node(kernel, count, threads, arguments);
    if (cudaGraphKernelNodeSetParams(lane.batch_node, &params) != cudaSuccess) return false;
    if (lane.batch_waits_for == capture.waits_for[0]) return true;
    lane.batch_waits_for = capture.waits_for[0];
#if CUDART_VERSION >= 13000
    return cudaGraphAddDependencies(capture.graph, capture.waits_for, &lane.batch_node, nullptr, 1) == cudaSuccess;
#else
    return cudaGraphAddDependencies(capture.graph, capture.waits_for, &lane.batch_node, 1) == cudaSuccess;
#endif
}

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
