// Getting a tensor read on the device: in the engine's stream or beside it, eagerly or into a graph.
#ifndef ORCH_LOG_CUDA_LAUNCH_HPP
#define ORCH_LOG_CUDA_LAUNCH_HPP

#include <cstdint>

#include <cuda_runtime_api.h>

#include "../orch_log/view.hpp"
#include "capture.hpp"
#include "context.hpp"
#include "kernels.cuh"

namespace orch_log {
namespace cuda {
namespace impl {

typedef void (*LogKernel)(Job, Ring, Scratch);

template <class Element>
inline LogKernel kernel_of(bool plain) noexcept {
    return plain ? &log_plain<Element> : &log_strided<Element>;
}

inline LogKernel kernel_for(Type type, bool plain) noexcept {
    switch (type) {
        case Type::f64: return kernel_of<F64>(plain);
        case Type::f32: return kernel_of<F32>(plain);
        case Type::f16: return kernel_of<F16>(plain);
        case Type::bf16: return kernel_of<Bf16>(plain);
        case Type::f8_e4m3: return kernel_of<F8E4m3>(plain);
        case Type::f8_e5m2: return kernel_of<F8E5m2>(plain);
        case Type::i64: return kernel_of<I64>(plain);
        case Type::i32: return kernel_of<I32>(plain);
        case Type::i16: return kernel_of<I16>(plain);
        case Type::i8: return kernel_of<I8>(plain);
        case Type::u64: return kernel_of<U64>(plain);
        case Type::u32: return kernel_of<U32>(plain);
        case Type::u16: return kernel_of<U16>(plain);
        case Type::u8: return kernel_of<U8>(plain);
        case Type::boolean: return kernel_of<Boolean>(plain);
        case Type::none: return nullptr;
    }
    return nullptr;
}

/// One block reads up to this many elements alone: two are no faster, since the second has to be waited for.
constexpr std::uint64_t single_block_elements = 4 * block_elements;

/// The number by which `log_batch` knows a type, or -1.
inline int batch_type(Type type) noexcept {
    return type == Type::f32 ? 0 : type == Type::f16 ? 1 : type == Type::bf16 ? 2 : -1;
}

inline u32 blocks_for(std::uint64_t count) noexcept {
    if (count <= single_block_elements) return 1;
    const std::uint64_t wanted = (count + block_elements - 1) / block_elements;
    return wanted < 264 ? static_cast<u32>(wanted) : 264;
}

/// A stream beside the engine's, for work outside of graphs.
inline bool prepare_side(Lane& lane) noexcept {
    if (lane.side != nullptr) return true;
    return cudaStreamCreateWithFlags(&lane.side, cudaStreamNonBlocking) == cudaSuccess &&
           cudaEventCreateWithFlags(&lane.forked, cudaEventDisableTiming) == cudaSuccess &&
           cudaEventCreateWithFlags(&lane.joined, cudaEventDisableTiming) == cudaSuccess;
}

/// Launches a kernel beside the engine's work so far.
inline bool launch_beside(Lane& lane, cudaStream_t stream, const void* kernel, u32 blocks, u32 block_threads, void** arguments) noexcept {
    if (lane.capture != 0) return add_beside(lane, stream, kernel, blocks, block_threads, arguments);
    if (!prepare_side(lane)) return false;
    lane.side_is_busy = true;
    return cudaEventRecord(lane.forked, stream) == cudaSuccess && cudaStreamWaitEvent(lane.side, lane.forked, 0) == cudaSuccess &&
           cudaLaunchKernel(kernel, dim3(blocks), dim3(block_threads), arguments, 0, lane.side) == cudaSuccess;
}

/// Makes the engine's next work wait for what runs beside it: to take snapshots anew, or to use the lane's scratch.
inline bool join(Lane& lane, cudaStream_t stream) noexcept {
    if (lane.capture != 0) return join_capture(lane, stream);
    if (!lane.side_is_busy) return true;
    lane.side_is_busy = false;
    return cudaEventRecord(lane.joined, lane.side) == cudaSuccess && cudaStreamWaitEvent(stream, lane.joined, 0) == cudaSuccess;
}

/// Room for a snapshot; null where there is none left. A graph keeps its snapshots for good, and so does a pass whose
/// payloads are wanted.
inline u8* snapshot_room(Context& context, Lane& lane, cudaStream_t stream, std::uint64_t nbytes, bool keep) noexcept {
    const std::uint64_t limit = context.settings().snapshot_bytes;
    const std::uint64_t room = (nbytes + 255) & ~std::uint64_t{255};
    if (room > limit) return nullptr;
    if (lane.snapshots == nullptr && cudaMalloc(reinterpret_cast<void**>(&lane.snapshots), limit) != cudaSuccess) {
        lane.snapshots = nullptr;
        return nullptr;
    }
    if (lane.used + room > limit) {
        if (lane.capture != 0 || keep || !join(lane, stream)) return nullptr;
        lane.used = 0;
        lane.delivered = 0;
    }
    u8* at = lane.snapshots + lane.used;
    lane.used += room;
    return at;
}

/// Copies the job's tensor, and its counter of positions, in the engine's stream; the job then reads the copies. `to` has room
/// for 8 bytes more than the tensor, rounded up to 8.
inline bool take_snapshot(Job& job, u8* to, std::uint64_t nbytes, cudaStream_t stream) noexcept {
    constexpr std::uint64_t small = 64 * 1024;
    const u8* from = job.data;
    i64* position_copy = reinterpret_cast<i64*>(to + ((nbytes + 7) & ~std::uint64_t{7}));
    std::uint64_t by_kernel = nbytes;
    if (nbytes > small) {
        if (cudaMemcpyAsync(to, from, static_cast<std::size_t>(nbytes), cudaMemcpyDeviceToDevice, stream) != cudaSuccess) return false;
        by_kernel = 0;
    }
    if (by_kernel > 0 || job.position_bits != 0) {
        void* arguments[] = {&from, &to, &by_kernel, &job.position, &job.position_bits, &position_copy};
        const u32 blocks = by_kernel == 0 ? 1 : static_cast<u32>((by_kernel + 16 * threads - 1) / (16 * threads));
        if (cudaLaunchKernel(reinterpret_cast<const void*>(&copy_small<0>), dim3(blocks), dim3(threads), arguments, 0, stream) != cudaSuccess) return false;
    }
    job.data = to;
    if (job.position_bits != 0) {
        job.position = reinterpret_cast<const u8*>(position_copy);
        job.position_bits = 64;
    }
    return true;
}

/// The same for a view with gaps, which the copy has none of.
inline bool pack(Job& job, const orch_log::detail::RawView& view, u8* to, std::uint64_t nbytes, cudaStream_t stream) noexcept {
    Job from = job;
    from.axes = static_cast<u32>(view.shape.count());
    for (u32 axis = 0; axis < from.axes; ++axis) {
        from.shape[axis] = view.shape[axis];
        from.strides[axis] = view.strides[axis];
    }
    u32 size = static_cast<u32>(size_bytes(view.type));
    i64* position_copy = reinterpret_cast<i64*>(to + ((nbytes + 7) & ~std::uint64_t{7}));
    void* arguments[] = {&from, &size, &to, &position_copy};
    const std::uint64_t wanted = (job.count + 4 * threads - 1) / (4 * threads);
    const u32 blocks = wanted < 1024 ? static_cast<u32>(wanted) : 1024;
    if (cudaLaunchKernel(reinterpret_cast<const void*>(&copy_strided<0>), dim3(blocks), dim3(threads), arguments, 0, stream) != cudaSuccess) return false;
    job.data = to;
    if (job.position_bits != 0) {
        job.position = reinterpret_cast<const u8*>(position_copy);
        job.position_bits = 64;
    }
    return true;
}

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
