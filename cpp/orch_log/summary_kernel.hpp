// The one pass over the elements: sums, squares, extremes and the sketch, by whole blocks.
#ifndef ORCH_LOG_SUMMARY_KERNEL_HPP
#define ORCH_LOG_SUMMARY_KERNEL_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "precise_math.hpp"
#include "summary.hpp"

#define ORCH_LOG_INLINE inline __attribute__((always_inline))
#define ORCH_LOG_LAMBDA __attribute__((always_inline))

ORCH_LOG_PRECISE_BEGIN

namespace orch_log {
namespace detail {

inline constexpr std::size_t columns = 16;  // of a block: also the number of partial sums
inline constexpr std::size_t rows = 16;     // of a block: also the number of projections
inline constexpr std::size_t block_elements = rows * columns;

/// What the pass has gathered so far. Every number depends on the order of additions that
/// spec/trace-format.md fixes, not on the vector width, so all code paths agree bit for bit.
struct alignas(64) Accumulator {
    double sketch[projections][columns] = {};
    double sum[columns] = {};
    double squares[columns] = {};
    std::uint64_t block = 0;  // the next one's number
};

/// Keeps a product and the addition after it from being fused, which would round once instead of twice. Clang's
/// code generator fuses whatever a pragma says if told -ffp-contract=fast; it cannot see through a mask of unknown bits.
template <class Bits, class Vector>
ORCH_LOG_INLINE void round_here(Vector& value, std::uint64_t nothing) noexcept {
#if defined(__clang__)
    value = reinterpret_cast<Vector>(reinterpret_cast<Bits>(value) | nothing);
#else
    (void)nothing;
#if defined(__x86_64__) || defined(__i386__)
    __asm__("" : "+x"(value));
#elif defined(__aarch64__)
    __asm__("" : "+w"(value));
#else
    __asm__("" : "+m"(value));
#endif
#endif
}

/// Calls `body` with 0 … N−1 as constants. Loops of sixteen are not unrolled at -O2, and then the sixteen
/// vectors of a column would live in memory.
template <class Body, std::size_t... I>
ORCH_LOG_INLINE void unroll(Body body, std::index_sequence<I...>) noexcept {
    (body(std::integral_constant<std::size_t, I>{}), ...);
}
template <std::size_t N, class Body>
ORCH_LOG_INLINE void unroll(Body body) noexcept {
    unroll(body, std::make_index_sequence<N>{});
}

/// Vectors of `W` columns; what the compiler makes of them is up to the target of the caller.
template <std::size_t W>
struct Lanes {
    typedef double D __attribute__((vector_size(W * 8)));
    typedef std::uint64_t U __attribute__((vector_size(W * 8)));
    typedef float F __attribute__((vector_size(W * 4)));
    typedef std::uint32_t H __attribute__((vector_size(W * 4)));
    typedef std::int32_t I __attribute__((vector_size(W * 4)));
    typedef std::uint16_t S __attribute__((vector_size(W * 2)));
};

/// Columns `first` to `first + W` of a block, kept in registers from the first row to the last projection.
template <std::size_t W, class Scalar>
struct Strip {
    typedef typename Lanes<W>::D D;
    typedef typename Lanes<W>::U U;
    typedef typename Lanes<W>::F F;
    typedef typename Lanes<W>::H H;

    D y[rows];
    U bits;

    /// Signs of a column: bits 0–15 before the transform, 16–31 after it.
    ///
    /// Source: C. Wellons, "Prospecting for hash functions" (2018), `lowbias32`; public domain.
    ORCH_LOG_INLINE void hash(std::uint64_t block, std::size_t first) noexcept {
        static constexpr std::uint32_t lane_numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        H h;
        std::memcpy(&h, lane_numbers, sizeof h);
        h += static_cast<std::uint32_t>(block * columns + first);
        h += 0x9e3779b9u;
        h = (h ^ (h >> 16)) * 0x7feb352du;
        h = (h ^ (h >> 15)) * 0x846ca68bu;
        h = h ^ (h >> 16);
        bits = __builtin_convertvector(h, U);
    }

    /// Inverts the sign of the lanes whose hash has this bit set.
    template <std::size_t Bit>
    ORCH_LOG_INLINE void flip(D& value) const noexcept {
        const U sign = U{} + (std::uint64_t{1} << 63);
        value = reinterpret_cast<D>(reinterpret_cast<U>(value) ^ ((bits << (63 - Bit)) & sign));
    }

    ORCH_LOG_INLINE void load(const Scalar* x, double* sums, double* squares) noexcept {
        D sum;
        D square_sum;
        std::memcpy(&sum, sums, sizeof sum);
        std::memcpy(&square_sum, squares, sizeof square_sum);
        std::uint64_t nothing = 0;
        __asm__("" : "+r"(nothing));
        unroll<rows>([&](auto r) ORCH_LOG_LAMBDA {
            D& value = y[r];
            if constexpr (sizeof(Scalar) == 4) {
                F narrow;
                std::memcpy(&narrow, x + r * columns, sizeof narrow);
                value = __builtin_convertvector(narrow, D);
            } else {
                std::memcpy(&value, x + r * columns, sizeof value);
            }
            sum += value;
            D square = value * value;
            if constexpr (sizeof(Scalar) == 8) round_here<U>(square, nothing);  // that of two f32 is exact anyway
            square_sum += square;
            flip<r>(value);
        });
        std::memcpy(sums, &sum, sizeof sum);
        std::memcpy(squares, &square_sum, sizeof square_sum);
    }

    template <std::size_t Distance>
    ORCH_LOG_INLINE void butterflies() noexcept {
        unroll<rows>([&](auto r) ORCH_LOG_LAMBDA {
            if constexpr ((r & Distance) == 0) {
                const D upper = y[r];
                y[r] = upper + y[r + Distance];
                y[r + Distance] = upper - y[r + Distance];
            }
        });
    }

    ORCH_LOG_INLINE void add_to(double (*sketch)[columns], std::size_t first) noexcept {
        unroll<projections>([&](auto k) ORCH_LOG_LAMBDA {
            D total;
            std::memcpy(&total, sketch[k] + first, sizeof total);
            flip<16 + k>(y[k]);
            total += y[k];
            std::memcpy(sketch[k] + first, &total, sizeof total);
        });
    }
};

/// Adds one block of finite elements to sums and sketch. `x` holds 256 elements, f32 or f64.
template <std::size_t W, class Scalar>
ORCH_LOG_INLINE void add_block(const Scalar* x, Accumulator& to) noexcept {
    for (std::size_t first = 0; first < columns; first += W) {
        Strip<W, Scalar> s;
        s.hash(to.block, first);
        s.load(x + first, to.sum + first, to.squares + first);
        s.template butterflies<8>();
        s.template butterflies<4>();
        s.template butterflies<2>();
        s.template butterflies<1>();
        s.add_to(to.sketch, first);
    }
    ++to.block;
}

/// What a stretch of elements needs to be known before it is added.
template <class Scalar>
struct Survey {
    Scalar min;
    Scalar max;
    bool finite;    // if not, `min` and `max` mean nothing
    bool has_zero;
};

template <std::size_t W, class Vector, class Item>
ORCH_LOG_INLINE void take_apart(const Vector& vector, Item (&items)[W]) noexcept {
    static_assert(sizeof vector == sizeof items);
    std::memcpy(items, &vector, sizeof items);
}

/// Looks at `count` elements, a positive multiple of 16. Finiteness and zeros are read off the bits, because
/// -ffast-math lets the compiler believe that there are no NaNs.
template <std::size_t W, class Scalar>
ORCH_LOG_INLINE Survey<Scalar> survey(const Scalar* x, std::size_t count) noexcept {
    typedef std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t> Bits;
    typedef Scalar V __attribute__((vector_size(W * sizeof(Scalar))));
    typedef Bits B __attribute__((vector_size(W * sizeof(Scalar))));
    constexpr Bits magnitude = static_cast<Bits>(~(std::uint64_t{1} << (8 * sizeof(Scalar) - 1)));
    constexpr std::size_t chains = W >= 16 ? 1 : 16 / W;  // a minimum takes four cycles: several at a time
    V min[chains];
    V max[chains];
    B least[chains];
    B greatest[chains];
    unroll<chains>([&](auto c) ORCH_LOG_LAMBDA {
        std::memcpy(&min[c], x + c * W, sizeof min[c]);
        max[c] = min[c];
        least[c] = B{} + magnitude;
        greatest[c] = B{};
    });
    for (std::size_t i = 0; i < count; i += chains * W) {
        unroll<chains>([&](auto c) ORCH_LOG_LAMBDA {
            V value;
            std::memcpy(&value, x + i + c * W, sizeof value);
            min[c] = value < min[c] ? value : min[c];
            max[c] = value > max[c] ? value : max[c];
            const B absolute = reinterpret_cast<B>(value) & magnitude;
            least[c] = absolute < least[c] ? absolute : least[c];
            greatest[c] = absolute > greatest[c] ? absolute : greatest[c];
        });
    }
    unroll<chains>([&](auto c) ORCH_LOG_LAMBDA {
        min[0] = min[c] < min[0] ? min[c] : min[0];
        max[0] = max[c] > max[0] ? max[c] : max[0];
        least[0] = least[c] < least[0] ? least[c] : least[0];
        greatest[0] = greatest[c] > greatest[0] ? greatest[c] : greatest[0];
    });
    Scalar mins[W];
    Scalar maxs[W];
    Bits leasts[W];
    Bits greatests[W];
    take_apart<W>(min[0], mins);
    take_apart<W>(max[0], maxs);
    take_apart<W>(least[0], leasts);
    take_apart<W>(greatest[0], greatests);
    for (std::size_t lane = 1; lane < W; ++lane) {
        mins[0] = mins[lane] < mins[0] ? mins[lane] : mins[0];
        maxs[0] = maxs[lane] > maxs[0] ? maxs[lane] : maxs[0];
        leasts[0] = leasts[lane] < leasts[0] ? leasts[lane] : leasts[0];
        greatests[0] = greatests[lane] > greatests[0] ? greatests[lane] : greatests[0];
    }
    constexpr Bits infinity = sizeof(Scalar) == 4 ? Bits{0x7f800000} : static_cast<Bits>(0x7ff0000000000000u);
    return {mins[0], maxs[0], greatests[0] < infinity, leasts[0] == 0};
}

/// Adds blocks of finite elements, and asks for the memory that the next survey will read, which would
/// otherwise wait for it: half of the time, at the speeds in question.
template <std::size_t W, class Scalar>
ORCH_LOG_INLINE void add_blocks(const Scalar* x, std::size_t blocks, std::size_t ahead_bytes, Accumulator& to) noexcept {
    constexpr std::size_t block_bytes = block_elements * sizeof(Scalar);
    for (std::size_t block = 0; block < blocks; ++block, x += block_elements) {
        if (ahead_bytes > 0) {
            const std::uintptr_t next = reinterpret_cast<std::uintptr_t>(x) + ahead_bytes;
            for (std::size_t at = 0; at < block_bytes; at += 64) __builtin_prefetch(reinterpret_cast<const void*>(next + at));
        }
        add_block<W>(x, to);
    }
}

/// `widen_f16` or `widen_bf16` of `count` elements at `data`, of any alignment.
template <std::size_t W>
ORCH_LOG_INLINE void widen(bool is_f16, const unsigned char* data, std::size_t count, float* to) noexcept {
    typedef typename Lanes<W>::S Halves;
    typedef typename Lanes<W>::H Bits;
    typedef typename Lanes<W>::F Floats;
    typedef typename Lanes<W>::I Signed;
    std::size_t i = 0;
    for (; i + W <= count; i += W) {
        Halves halves;
        std::memcpy(&halves, data + 2 * i, sizeof halves);
        const Bits wide = __builtin_convertvector(halves, Bits);
        Bits bits;
        if (is_f16) {
            const Bits magnitude = (wide & 0x7fffu) << 13;
            // A subnormal counts units of 2^-24: as the fraction of 2^-14 it is exact, and 2^-14 taken off again.
            const Floats base = reinterpret_cast<Floats>(Bits{} + 0x38800000u);
            const Floats small = reinterpret_cast<Floats>(magnitude + 0x38800000u) - base;
            const Signed is_small = reinterpret_cast<Signed>(magnitude) < 0x00800000;
            const Signed is_special = reinterpret_cast<Signed>(magnitude) >= 0x0f800000;
            const Bits normal = magnitude + 0x38000000u + (reinterpret_cast<Bits>(is_special) & 0x38000000u);
            const Bits chosen = (reinterpret_cast<Bits>(small) & reinterpret_cast<Bits>(is_small)) |
                                (normal & ~reinterpret_cast<Bits>(is_small));
            bits = chosen | (wide & 0x8000u) << 16;
        } else {
            bits = wide << 16;
        }
        std::memcpy(to + i, &bits, sizeof bits);
    }
    for (; i < count; ++i) {
        const std::uint16_t half = load<std::uint16_t>(data + 2 * i);
        to[i] = is_f16 ? widen_f16(half) : widen_bf16(half);
    }
}

}  // namespace detail
}  // namespace orch_log

ORCH_LOG_PRECISE_END

#endif
