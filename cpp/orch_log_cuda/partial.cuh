// What some of a tensor's elements add up to, and how a thread block puts its threads' shares together.
#ifndef ORCH_LOG_CUDA_PARTIAL_CUH
#define ORCH_LOG_CUDA_PARTIAL_CUH

#include "slot.cuh"

namespace orch_log {
namespace cuda {

constexpr u32 threads = 256;
constexpr u32 warps = threads / 32;
/// Numbers in a partial: the sketch, sum, sum of squares, least, greatest, and how many are NaN, infinite, zero.
constexpr u32 figures = 23;
constexpr u32 at_sum = 16;
constexpr u32 at_min = 18;
constexpr u32 at_max = 19;
constexpr u32 at_counts = 20;

/// One thread's share while it reads.
struct Share {
    double sketch[16];
    double sum;
    double squares;
    u32 nan;
    u32 inf;
    u32 zero;
};

/// Figures of a thread block, counts as doubles: exact up to 2^53.
struct Partial {
    double figure[figures + 1];
};

__device__ inline double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }

/// Two of the same figure as one.
__device__ inline double merged(u32 figure, double a, double b) {
    return figure == at_min ? fmin(a, b) : figure == at_max ? fmax(a, b) : a + b;
}

/// What a figure is of no elements.
__device__ inline double nothing(u32 figure) {
    return figure == at_min ? infinity() : figure == at_max ? -infinity() : 0.0;
}

/// Leaves the thread block's partial in `shared[0]`, valid for all threads. Lane l of a warp holds column l mod 16, so the
/// sixteen sketch sums are folded by halves: each step sends half of them away and keeps the other half, 15 exchanges where
/// folding all sixteen on their own takes 64.
__device__ inline void reduce_block(const Share& share, double low, double high, Partial* shared) {
    const u32 lane = threadIdx.x & 31u;
    double s[8];
#pragma unroll
    for (u32 k = 0; k < 8; ++k) {
        const bool upper = (lane & 8u) != 0;
        const double kept = upper ? share.sketch[k + 8] : share.sketch[k];
        const double sent = upper ? share.sketch[k] : share.sketch[k + 8];
        s[k] = kept + __shfl_xor_sync(0xffffffffu, sent, 8);
    }
#pragma unroll
    for (u32 d = 4; d > 0; d >>= 1) {
#pragma unroll
        for (u32 k = 0; k < 4; ++k) {
            if (k >= d) continue;
            const bool upper = (lane & d) != 0;
            const double kept = upper ? s[k + d] : s[k];
            const double sent = upper ? s[k] : s[k + d];
            s[k] = kept + __shfl_xor_sync(0xffffffffu, sent, static_cast<int>(d));
        }
    }
    // Lane l now holds projection l mod 16 of its half of the warp.
    const double projection = s[0] + __shfl_xor_sync(0xffffffffu, s[0], 16);
    double sum = share.sum;
    double squares = share.squares;
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, d);
        squares += __shfl_xor_sync(0xffffffffu, squares, d);
        low = fmin(low, __shfl_xor_sync(0xffffffffu, low, d));
        high = fmax(high, __shfl_xor_sync(0xffffffffu, high, d));
    }
    const u32 nan = __reduce_add_sync(0xffffffffu, share.nan);
    const u32 inf = __reduce_add_sync(0xffffffffu, share.inf);
    const u32 zero = __reduce_add_sync(0xffffffffu, share.zero);
    Partial& mine = shared[threadIdx.x >> 5];
    __syncthreads();
    if (lane < 16) mine.figure[lane] = projection;
    if (lane == 16) mine.figure[at_sum] = sum;
    if (lane == 17) mine.figure[at_sum + 1] = squares;
    if (lane == 18) mine.figure[at_min] = low;
    if (lane == 19) mine.figure[at_max] = high;
    if (lane == 20) mine.figure[at_counts] = static_cast<double>(nan);
    if (lane == 21) mine.figure[at_counts + 1] = static_cast<double>(inf);
    if (lane == 22) mine.figure[at_counts + 2] = static_cast<double>(zero);
    __syncthreads();
    if (threadIdx.x < figures) {
        double value = shared[0].figure[threadIdx.x];
        for (u32 warp = 1; warp < warps; ++warp) value = merged(threadIdx.x, value, shared[warp].figure[threadIdx.x]);
        shared[0].figure[threadIdx.x] = value;
    }
    __syncthreads();
}

/// Puts the partials of `count` thread blocks together in `shared[0]`. One warp takes every eighth partial, one lane a
/// figure, so that the order of addition depends on `count` alone.
__device__ inline void merge_blocks(const Partial* partials, u32 count, Partial* shared) {
    const u32 lane = threadIdx.x & 31u;
    const u32 warp = threadIdx.x >> 5;
    if (lane < figures) {
        double value = nothing(lane);
        for (u32 i = warp; i < count; i += warps) value = merged(lane, value, __ldcg(&partials[i].figure[lane]));
        shared[warp].figure[lane] = value;
    }
    __syncthreads();
    if (threadIdx.x < figures) {
        double value = shared[0].figure[threadIdx.x];
        for (u32 i = 1; i < warps; ++i) value = merged(threadIdx.x, value, shared[i].figure[threadIdx.x]);
        shared[0].figure[threadIdx.x] = value;
    }
    __syncthreads();
}

}  // namespace cuda
}  // namespace orch_log

#endif
