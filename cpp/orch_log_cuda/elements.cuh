// Element types as the device reads them. Nothing is included: NVRTC has no headers for the half types at hand.
#ifndef ORCH_LOG_CUDA_ELEMENTS_CUH
#define ORCH_LOG_CUDA_ELEMENTS_CUH

#include "slot.cuh"

namespace orch_log {
namespace cuda {

__device__ inline bool is_finite(float x) { return fabsf(x) <= 3.402823466e38f; }
__device__ inline bool is_finite(double x) { return fabs(x) <= 1.7976931348623157e308; }
__device__ inline float magnitude(float x) { return fabsf(x); }
__device__ inline double magnitude(double x) { return fabs(x); }
__device__ inline float smaller(float a, float b) { return fminf(a, b); }
__device__ inline double smaller(double a, double b) { return fmin(a, b); }
__device__ inline float larger(float a, float b) { return fmaxf(a, b); }
__device__ inline double larger(double a, double b) { return fmax(a, b); }

/// Memory of `Bits` at any address: a tensor's pointer need not be aligned to its element.
template <class Bits>
__device__ inline Bits load_bits(const u8* at) {
    if ((reinterpret_cast<u64>(at) & (sizeof(Bits) - 1)) == 0) return *reinterpret_cast<const Bits*>(at);
    Bits bits = 0;
#pragma unroll
    for (u32 i = 0; i < sizeof(Bits); ++i) bits |= static_cast<Bits>(at[i]) << (8 * i);
    return bits;
}

__device__ inline float half_bits_to_float(u16 bits) {
    float value;
    asm("{ .reg .b16 h; mov.b16 h, %1; cvt.f32.f16 %0, h; }" : "=f"(value) : "h"(bits));
    return value;
}

struct FloatRange {
    typedef float Scalar;
    static __device__ float highest() { return __int_as_float(0x7f800000); }
    static __device__ float lowest() { return __int_as_float(static_cast<int>(0xff800000u)); }
};

struct DoubleRange {
    typedef double Scalar;
    static __device__ double highest() { return __longlong_as_double(0x7ff0000000000000ll); }
    static __device__ double lowest() { return __longlong_as_double(static_cast<i64>(0xfff0000000000000ull)); }
};

struct F32 : FloatRange {
    typedef u32 Bits;
    static constexpr u32 size = 4;
    static __device__ float value(u32 bits) { return __uint_as_float(bits); }
};

struct F64 : DoubleRange {
    typedef u64 Bits;
    static constexpr u32 size = 8;
    static __device__ double value(u64 bits) { return __longlong_as_double(static_cast<i64>(bits)); }
};

struct F16 : FloatRange {
    typedef u16 Bits;
    static constexpr u32 size = 2;
    static __device__ float value(u16 bits) { return half_bits_to_float(bits); }
};

struct Bf16 : FloatRange {
    typedef u16 Bits;
    static constexpr u32 size = 2;
    static __device__ float value(u16 bits) { return __uint_as_float(static_cast<u32>(bits) << 16); }
};

/// OCP 8-bit float: exponent bias 7, no infinities, NaN where all bits but the sign are set.
struct F8E4m3 : FloatRange {
    typedef u8 Bits;
    static constexpr u32 size = 1;
    static __device__ float value(u8 byte) {
        const u32 bits = byte;
        const u32 sign = (bits & 0x80u) << 24;
        if ((bits & 0x7fu) == 0x7fu) return __uint_as_float(sign | 0x7fc00000u);
        // A subnormal counts in steps of 2^-9; else the exponent's bias goes from 7 to 127.
        const u32 mantissa = bits & 7u;
        const u32 exponent = (bits >> 3) & 15u;
        const u32 normal = ((exponent + 120u) << 23) | (mantissa << 20);
        const u32 magnitude_bits = exponent == 0 ? __float_as_uint(static_cast<float>(mantissa) * 0.001953125f) : normal;
        return __uint_as_float(magnitude_bits | sign);
    }
};

/// OCP 8-bit float: the upper half of a binary16.
struct F8E5m2 : FloatRange {
    typedef u8 Bits;
    static constexpr u32 size = 1;
    static __device__ float value(u8 bits) { return half_bits_to_float(static_cast<u16>(bits << 8)); }
};

/// Integers whose values are all exact in an f32. `Raw` is the unsigned type of the same size.
template <class Int, class Raw>
struct SmallInt : FloatRange {
    typedef Raw Bits;
    static constexpr u32 size = sizeof(Int);
    static __device__ float value(Raw bits) { return static_cast<float>(static_cast<Int>(bits)); }
};

/// The others; beyond 2^53 they round to the nearest f64, as the specification says.
template <class Int, class Raw>
struct LargeInt : DoubleRange {
    typedef Raw Bits;
    static constexpr u32 size = sizeof(Int);
    static __device__ double value(Raw bits) { return static_cast<double>(static_cast<Int>(bits)); }
};

struct Boolean : FloatRange {
    typedef u8 Bits;
    static constexpr u32 size = 1;
    static __device__ float value(u8 bits) { return bits != 0 ? 1.0f : 0.0f; }
};

typedef SmallInt<signed char, u8> I8;
typedef SmallInt<u8, u8> U8;
typedef SmallInt<short, u16> I16;
typedef SmallInt<u16, u16> U16;
typedef LargeInt<int, u32> I32;
typedef LargeInt<u32, u32> U32;
typedef LargeInt<i64, u64> I64;
typedef LargeInt<u64, u64> U64;

}  // namespace cuda
}  // namespace orch_log

#endif
