// Reading a tensor: each thread takes columns, sixteen elements that lie sixteen apart in a block of 256, so that a warp
// reads whole sectors and the sketch's sixteen projections cost four additions an element (spec/trace-format.md, section 6).
#ifndef ORCH_LOG_CUDA_SCAN_CUH
#define ORCH_LOG_CUDA_SCAN_CUH

#include "elements.cuh"
#include "partial.cuh"

namespace orch_log {
namespace cuda {

/// Elements that one thread block takes at a time.
constexpr u32 block_elements = threads * 16;

/// `value` with its sign inverted where bit `bit` of `hash` is set.
__device__ inline double signed_by(double value, u32 hash, u32 bit) {
    const u32 flip = (hash << (31u - bit)) & 0x80000000u;
    return __hiloint2double(static_cast<int>(static_cast<u32>(__double2hiint(value)) ^ flip), __double2loint(value));
}

/// What 16 elements of a column add to sums and sketch. `exact` says that a square is exact in an f64, so that a fused
/// multiply-add rounds as the two operations do.
__device__ inline void add_column(Share& share, double (&y)[16], u32 column, bool exact) {
#pragma unroll
    for (u32 r = 0; r < 16; ++r) {
        share.sum += y[r];
        share.squares = exact ? fma(y[r], y[r], share.squares) : __dadd_rn(share.squares, __dmul_rn(y[r], y[r]));
    }
    u32 h = column + 0x9e3779b9u;
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    h = h ^ (h >> 16);
#pragma unroll
    for (u32 r = 0; r < 16; ++r) y[r] = signed_by(y[r], h, r);
#pragma unroll
    for (u32 d = 8; d > 0; d >>= 1) {
#pragma unroll
        for (u32 r = 0; r < 16; ++r) {
            if ((r & d) != 0) continue;
            const double a = y[r];
            const double b = y[r + d];
            y[r] = a + b;
            y[r + d] = a - b;
        }
    }
#pragma unroll
    for (u32 k = 0; k < 16; ++k) share.sketch[k] += signed_by(y[k], h, 16 + k);
}

/// Whether `x` has a NaN, an infinity or a zero among its sixteen; on the way the range of the others.
template <class Scalar>
__device__ inline bool is_special(const Scalar (&x)[16], Scalar& low, Scalar& high) {
    Scalar least = magnitude(x[0]);
    Scalar greatest = magnitude(x[0]);
    Scalar below = x[0];
    Scalar above = x[0];
    bool has_nan = x[0] != x[0];
#pragma unroll
    for (u32 r = 1; r < 16; ++r) {
        const Scalar m = magnitude(x[r]);
        has_nan = has_nan || m != m;
        least = smaller(least, m);
        greatest = larger(greatest, m);
        below = smaller(below, x[r]);
        above = larger(above, x[r]);
    }
    if (has_nan || !is_finite(greatest) || least == Scalar(0)) return true;
    low = smaller(low, below);
    high = larger(high, above);
    return false;
}

/// One column, those elements from `valid` on being filling.
template <class Scalar>
__device__ inline void take_column(Share& share, Scalar& low, Scalar& high, const Scalar (&x)[16], u32 valid, u32 column) {
    double y[16];
    if (valid == 16 && !is_special(x, low, high)) {
#pragma unroll
        for (u32 r = 0; r < 16; ++r) y[r] = static_cast<double>(x[r]);
    } else {
#pragma unroll
        for (u32 r = 0; r < 16; ++r) {
            const bool real = r < valid;
            const bool is_nan = x[r] != x[r];
            const bool finite = is_finite(x[r]);
            share.nan += is_nan && real;
            share.inf += !finite && !is_nan && real;
            share.zero += x[r] == Scalar(0) && real;
            if (finite && real) {
                low = smaller(low, x[r]);
                high = larger(high, x[r]);
            }
            y[r] = finite && real ? static_cast<double>(x[r]) : 0.0;
        }
    }
    add_column(share, y, column, sizeof(Scalar) == 4);
}

/// All columns of this thread, which belongs to thread block `part` of `parts` that share the tensor. `load(i)` is logical
/// element i.
template <class Element, class Load>
__device__ inline void scan(u64 count, u32 part, u32 parts, Load load, Share& share, double& least, double& greatest) {
    typedef typename Element::Scalar Scalar;
    Scalar low = Element::highest();
    Scalar high = Element::lowest();
    const u32 column = threadIdx.x & 15u;
    const u64 whole = count >> 8;
    const u64 stride = u64{parts} * (threads / 16);
    u64 block = u64{part} * (threads / 16) + (threadIdx.x >> 4);
    Scalar x[16];
    if (block < whole) {
#pragma unroll
        for (u32 r = 0; r < 16; ++r) x[r] = load((block << 8) + column + 16 * r);
    }
    while (block < whole) {
        // The next column is on its way while this one is added.
        const u64 next = block + stride;
        Scalar ahead[16];
        if (next < whole) {
#pragma unroll
            for (u32 r = 0; r < 16; ++r) ahead[r] = load((next << 8) + column + 16 * r);
        }
        take_column<Scalar>(share, low, high, x, 16, static_cast<u32>(block) * 16u + column);
#pragma unroll
        for (u32 r = 0; r < 16; ++r) x[r] = ahead[r];
        block = next;
    }
    if (block == whole && (count & 255u) != 0) {
        const u64 base = (block << 8) + column;
        const u32 valid = count > base ? static_cast<u32>((count - base + 15) >> 4) : 0;
#pragma unroll
        for (u32 r = 0; r < 16; ++r) x[r] = r < valid ? load(base + 16 * r) : Scalar(1);
        take_column<Scalar>(share, low, high, x, valid, static_cast<u32>(block) * 16u + column);
    }
    least = low <= high ? static_cast<double>(low) : infinity();
    greatest = low <= high ? static_cast<double>(high) : -infinity();
}

/// The address of logical element `index` of a strided view. What is left of the index belongs to the outermost axis, however long
/// that is said to be: the shape that an engine gives of elements without gaps need not have as many as there are.
__device__ inline const u8* strided_address(const Job& job, u32 size, u64 index) {
    i64 offset = 0;
    for (u32 axis = job.axes; axis-- > 1;) {
        const u64 extent = job.shape[axis];
        offset += static_cast<i64>(index % extent) * job.strides[axis];
        index /= extent;
    }
    offset += static_cast<i64>(index) * (job.axes == 0 ? 1 : job.strides[0]);
    return job.data + offset * static_cast<i64>(size);
}

/// Elements of a view without gaps whose memory is aligned to them.
template <class Element>
struct Plain {
    const u8* data;
    __device__ const u8* address(u64 index) const { return data + index * Element::size; }
    __device__ typename Element::Scalar operator()(u64 index) const {
        typedef typename Element::Bits Bits;
        return Element::value(__ldcs(reinterpret_cast<const Bits*>(data) + index));
    }
};

/// Elements of any view at any address.
template <class Element>
struct Strided {
    const Job& job;
    __device__ const u8* address(u64 index) const { return strided_address(job, Element::size, index); }
    __device__ typename Element::Scalar operator()(u64 index) const {
        return Element::value(load_bits<typename Element::Bits>(address(index)));
    }
};

}  // namespace cuda
}  // namespace orch_log

#endif
