// Statistics and the sketch of a view.
#ifndef ORCH_LOG_SUMMARISE_HPP
#define ORCH_LOG_SUMMARISE_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "float_guard.hpp"
#include "precise_math.hpp"
#include "summary.hpp"
#include "summary_dispatch.hpp"
#include "view.hpp"

ORCH_LOG_PRECISE_BEGIN

namespace orch_log {
namespace detail {

/// Gathers a summary from stretches of elements, `Scalar` being float or double.
template <class Scalar>
class Summariser {
public:
    /// Elements in a stretch: 16 KiB, so that what the survey has read is still near when it is added.
    static constexpr std::size_t stretch = 16384 / sizeof(Scalar);

    /// Takes `count` elements, at most a stretch; a multiple of 256 except at the end. `ahead_bytes` further on
    /// lie the elements that come next, 0 when they do not.
    void add(const Scalar* x, std::size_t count, std::size_t ahead_bytes) noexcept {
        const std::size_t whole = count / block_elements * block_elements;
        if (whole > 0) add_whole(x, whole, ahead_bytes);
        if (count > whole) add_last(x + whole, count - whole);
    }

    Summary finish() noexcept {
        Summary summary;
        summary.stats = stats_;
        const std::uint64_t finite = stats_.n - stats_.nan - stats_.inf;
        if (finite > 0) {
            summary.stats.min = static_cast<double>(min_) + 0.0;  // −0.0 becomes 0.0
            summary.stats.max = static_cast<double>(max_) + 0.0;
            summary.stats.mean = fold(accumulator_.sum) / static_cast<double>(finite);
            summary.stats.rms = std::sqrt(fold(accumulator_.squares) / static_cast<double>(finite));
        }
        for (std::size_t k = 0; k < projections; ++k) {
            summary.sketch.s[k] = fold(accumulator_.sketch[k]);
        }
        return summary;
    }

private:
    typedef std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t> Bits;
    static constexpr Bits magnitude = static_cast<Bits>(~Bits{0}) >> 1;
    static constexpr Bits infinity = sizeof(Scalar) == 4 ? Bits{0x7f800000u} : static_cast<Bits>(0x7ff0000000000000u);

    void add_whole(const Scalar* x, std::size_t count, std::size_t ahead_bytes) noexcept {
        const Survey<Scalar> found = survey_here(machine_, x, count);
        if (!found.finite) {
            for (std::size_t at = 0; at < count; at += block_elements) add_checked(x + at, block_elements);
            return;
        }
        stats_.n += count;
        if (found.has_zero) stats_.zero += count_zeros(x, count);
        widen_range(found.min, found.max);
        add_blocks_here(machine_, x, count / block_elements, ahead_bytes, accumulator_);
    }

    /// The last block, filled up with zeros for sums and sketch, and with an element of its own for the survey.
    void add_last(const Scalar* x, std::size_t count) noexcept {
        alignas(64) Scalar block[block_elements];
        const std::size_t surveyed = (count + columns - 1) / columns * columns;
        std::memcpy(block, x, count * sizeof(Scalar));
        const Scalar filling = block[0];
        for (std::size_t i = count; i < surveyed; ++i) block[i] = filling;
        const Survey<Scalar> found = survey_here(machine_, static_cast<const Scalar*>(block), surveyed);
        if (!found.finite) return add_checked(x, count);
        stats_.n += count;
        if (found.has_zero) stats_.zero += count_zeros(x, count);
        widen_range(found.min, found.max);
        std::memset(static_cast<void*>(block + count), 0, (block_elements - count) * sizeof(Scalar));
        add_blocks_here(machine_, static_cast<const Scalar*>(block), 1, 0, accumulator_);
    }

    /// One block with NaNs or infinities, which count as zeros in sums and sketch, element by element.
    void add_checked(const Scalar* x, std::size_t count) noexcept {
        alignas(64) Scalar block[block_elements] = {};
        stats_.n += count;
        for (std::size_t i = 0; i < count; ++i) {
            const Bits bits = absolute_bits(x + i);
            stats_.nan += bits > infinity;
            stats_.inf += bits == infinity;
            stats_.zero += bits == 0;
            if (bits >= infinity) continue;
            block[i] = load<Scalar>(x + i);
            widen_range(block[i], block[i]);
        }
        add_blocks_here(machine_, static_cast<const Scalar*>(block), 1, 0, accumulator_);
    }

    static std::size_t count_zeros(const Scalar* x, std::size_t count) noexcept {
        std::size_t zeros = 0;
        for (std::size_t i = 0; i < count; ++i) zeros += absolute_bits(x + i) == 0;
        return zeros;
    }

    void widen_range(Scalar low, Scalar high) noexcept {
        if (low < min_) min_ = low;
        if (high > max_) max_ = high;
    }

    static Bits absolute_bits(const Scalar* at) noexcept { return load<Bits>(at) & magnitude; }

    /// Sixteen lanes to one, in the order that the specification fixes.
    static double fold(const double (&lanes)[columns]) noexcept {
        typedef double Pair __attribute__((vector_size(16)));
        Pair pairs[8];
        std::memcpy(pairs, lanes, sizeof pairs);
        const Pair first = (pairs[0] + pairs[4]) + (pairs[2] + pairs[6]);
        const Pair second = (pairs[1] + pairs[5]) + (pairs[3] + pairs[7]);
        const Pair sum = first + second;
        return sum[0] + sum[1];
    }

    Accumulator accumulator_;
    Stats stats_;
    Scalar min_ = std::numeric_limits<Scalar>::max();
    Scalar max_ = std::numeric_limits<Scalar>::lowest();
    Machine machine_ = machine();
};

/// The types whose elements are all exact in an f32.
constexpr bool fits_f32(Type type) noexcept {
    return size_bytes(type) <= 2 || type == Type::f32;
}

template <class Scalar>
inline Summary summarise_in_place(const unsigned char* data, std::size_t count) noexcept {
    Summariser<Scalar> summariser;
    const Scalar* x = reinterpret_cast<const Scalar*>(data);  // read bytewise, so any alignment will do
    constexpr std::size_t stretch = Summariser<Scalar>::stretch;
    for (; count > stretch; count -= stretch, x += stretch) summariser.add(x, stretch, stretch * sizeof(Scalar));
    summariser.add(x, count, 0);
    return summariser.finish();
}

template <class Scalar>
inline Summary summarise_converted(const RawView& view) noexcept {
    Summariser<Scalar> summariser;
    constexpr std::size_t stretch = Summariser<Scalar>::stretch;
    alignas(64) Scalar converted[stretch];
    std::size_t filled = 0;
    Cursor cursor(view);
    const unsigned char* data = nullptr;
    std::ptrdiff_t stride = 0;
    while (const std::size_t run = cursor.next(stretch - filled, data, stride)) {
        for (std::size_t i = 0; i < run; ++i, data += stride) converted[filled + i] = element_as<Scalar>(data, view.type);
        filled += run;
        if (filled < stretch) continue;
        summariser.add(converted, stretch, 0);
        filled = 0;
    }
    summariser.add(converted, filled, 0);
    return summariser.finish();
}

/// f16 or bf16, contiguous.
inline Summary summarise_halves(const RawView& view) noexcept {
    Summariser<float> summariser;
    constexpr std::size_t stretch = Summariser<float>::stretch;
    alignas(64) float widened[stretch];
    const Machine here = machine();
    const unsigned char* data = view.data;
    for (std::size_t left = view.count; left > 0;) {
        const std::size_t count = left < stretch ? left : stretch;
        widen_halves(here, view.type == Type::f16, data, count, widened);
        data += 2 * count;
        left -= count;
        const std::size_t next = left < stretch ? left : stretch;
        for (std::size_t at = 0; at < 2 * next; at += 64) __builtin_prefetch(data + at);
        summariser.add(widened, count, 0);
    }
    return summariser.finish();
}

/// Statistics and sketch over all elements in logical order.
inline Summary summarise(const RawView& view) noexcept {
    const FloatGuard floats;
    const bool contiguous = view.contiguous();
    if (contiguous && view.type == Type::f32) return summarise_in_place<float>(view.data, view.count);
    if (contiguous && view.type == Type::f64) return summarise_in_place<double>(view.data, view.count);
    if (contiguous && (view.type == Type::f16 || view.type == Type::bf16)) return summarise_halves(view);
    return fits_f32(view.type) ? summarise_converted<float>(view) : summarise_converted<double>(view);
}

}  // namespace detail
}  // namespace orch_log

ORCH_LOG_PRECISE_END

#endif
