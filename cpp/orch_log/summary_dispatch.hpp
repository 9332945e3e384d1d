// The kernel for the machine at hand.
#ifndef ORCH_LOG_SUMMARY_DISPATCH_HPP
#define ORCH_LOG_SUMMARY_DISPATCH_HPP

#include <atomic>
#include <cstddef>

#include "precise_math.hpp"
#include "summary_kernel.hpp"

#if (defined(__x86_64__) || defined(__i386__)) && !defined(ORCH_LOG_BASELINE_ONLY)
#define ORCH_LOG_X86 1
#else
#define ORCH_LOG_X86 0
#endif

ORCH_LOG_PRECISE_BEGIN

namespace orch_log {
namespace detail {

enum class Machine : int { unknown, baseline, avx2, avx512 };

/// What the processor offers. AVX-512 only where it came with VBMI2: the generation before lowered its
/// clock for such instructions, which the engine would feel.
inline Machine detect_machine() noexcept {
#if ORCH_LOG_X86
    __builtin_cpu_init();  // we may run before the constructor that does it
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2")) {
        return Machine::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Machine::avx2;
#endif
    return Machine::baseline;
}

inline std::atomic<int> known_machine{static_cast<int>(Machine::unknown)};

inline Machine machine() noexcept {
    const int known = known_machine.load(std::memory_order_relaxed);
    if (known != static_cast<int>(Machine::unknown)) return static_cast<Machine>(known);
    const Machine detected = detect_machine();
    known_machine.store(static_cast<int>(detected), std::memory_order_relaxed);
    return detected;
}

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
#endif

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
