// What the processor at hand offers.
#ifndef ORCH_LOG_MACHINE_HPP
#define ORCH_LOG_MACHINE_HPP

#include <atomic>

// nvcc's rewriting of the host's code drops what makes the vector kernels inline, which they must be to be legal; the
// optimiser makes up for it, and without one the plain kernel, which gives the same bits, serves.
#if defined(__CUDACC__) && !defined(__OPTIMIZE__) && !defined(ORCH_LOG_BASELINE_ONLY)
#define ORCH_LOG_BASELINE_ONLY
#endif

#if (defined(__x86_64__) || defined(__i386__)) && !defined(ORCH_LOG_BASELINE_ONLY)
#define ORCH_LOG_X86 1
#else
#define ORCH_LOG_X86 0
#endif

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

}  // namespace detail
}  // namespace orch_log

#endif
