// The kernel for the machine at hand.
#ifndef ORCH_LOG_SUMMARY_DISPATCH_HPP
#define ORCH_LOG_SUMMARY_DISPATCH_HPP

#include <cstddef>

#include "machine.hpp"
#include "precise_math.hpp"
#include "summary_kernel.hpp"

ORCH_LOG_PRECISE_BEGIN

namespace orch_log {
namespace detail {

#if ORCH_LOG_X86
#define ORCH_LOG_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define ORCH_LOG_AVX2 __attribute__((target("avx2,fma")))

template <class Scalar>
ORCH_LOG_AVX512 inline Survey<Scalar> survey_avx512(const Scalar* x, std::size_t count) noexcept {
    return survey<64 / sizeof(Scalar)>(x, count);
}
template <class Scalar>
ORCH_LOG_AVX512 inline void add_blocks_avx512(const Scalar* x, std::size_t blocks, std::size_t ahead, Accumulator& to) noexcept {
    add_blocks<8>(x, blocks, ahead, to);
}
template <class Scalar>
ORCH_LOG_AVX2 inline Survey<Scalar> survey_avx2(const Scalar* x, std::size_t count) noexcept {
    return survey<32 / sizeof(Scalar)>(x, count);
}
template <class Scalar>
ORCH_LOG_AVX2 inline void add_blocks_avx2(const Scalar* x, std::size_t blocks, std::size_t ahead, Accumulator& to) noexcept {
    add_blocks<4>(x, blocks, ahead, to);
}
ORCH_LOG_AVX512 inline void widen_avx512(bool is_f16, const unsigned char* data, std::size_t count, float* to) noexcept {
    widen<16>(is_f16, data, count, to);
}
ORCH_LOG_AVX2 inline void widen_avx2(bool is_f16, const unsigned char* data, std::size_t count, float* to) noexcept {
    widen<8>(is_f16, data, count, to);
}
#endif

/// f16 or bf16 to f32.
inline void widen_halves(Machine machine, bool is_f16, const unsigned char* data, std::size_t count, float* to) noexcept {
#if ORCH_LOG_X86
    if (machine == Machine::avx512) return widen_avx512(is_f16, data, count, to);
    if (machine == Machine::avx2) return widen_avx2(is_f16, data, count, to);
#endif
    (void)machine;
    widen<4>(is_f16, data, count, to);
}

template <class Scalar>
inline Survey<Scalar> survey_here(Machine machine, const Scalar* x, std::size_t count) noexcept {
#if ORCH_LOG_X86
    if (machine == Machine::avx512) return survey_avx512(x, count);
    if (machine == Machine::avx2) return survey_avx2(x, count);
#endif
    (void)machine;
    return survey<16 / sizeof(Scalar)>(x, count);
}

template <class Scalar>
inline void add_blocks_here(Machine machine, const Scalar* x, std::size_t blocks, std::size_t ahead, Accumulator& to) noexcept {
#if ORCH_LOG_X86
    if (machine == Machine::avx512) return add_blocks_avx512(x, blocks, ahead, to);
    if (machine == Machine::avx2) return add_blocks_avx2(x, blocks, ahead, to);
#endif
    (void)machine;
    add_blocks<2>(x, blocks, ahead, to);
}

}  // namespace detail
}  // namespace orch_log

ORCH_LOG_PRECISE_END

#endif
