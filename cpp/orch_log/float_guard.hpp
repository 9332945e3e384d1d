// The floating-point environment that statistics are computed in.
#ifndef ORCH_LOG_FLOAT_GUARD_HPP
#define ORCH_LOG_FLOAT_GUARD_HPP

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace orch_log {
namespace detail {

/// Round to nearest, subnormals kept, no traps; the caller's environment afterwards.
///
/// Engines like to flush subnormals to zero, which would make every subnormal count as a zero here, and a
/// debug build may trap on invalid operations, which a NaN in a tensor must not trigger in the
/// logger. The sticky flags are put back too: a caller that tests them must see only its own.
class FloatGuard {
public:
#if defined(__SSE2__)
    FloatGuard() noexcept : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
    ~FloatGuard() { _mm_setcsr(before_); }
#elif defined(__aarch64__)
    FloatGuard() noexcept {
        __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control_), "=r"(status_));
        __asm__ volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
    }
    ~FloatGuard() { __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(control_), "r"(status_)); }
#else
    FloatGuard() noexcept {}
    ~FloatGuard() {}
#endif
    FloatGuard(const FloatGuard&) = delete;
    FloatGuard& operator=(const FloatGuard&) = delete;

private:
#if defined(__SSE2__)
    unsigned before_;
#elif defined(__aarch64__)
    std::uint64_t control_ = 0;
    std::uint64_t status_ = 0;
#endif
};

}  // namespace detail
}  // namespace orch_log

#endif
