// Arithmetic as written, whatever flags the engine is compiled with.
#ifndef ORCH_LOG_PRECISE_MATH_HPP
#define ORCH_LOG_PRECISE_MATH_HPP

/// Between these two -ffast-math does not hold: engines are often built with it, and it would let the compiler add in
/// another order than the specification fixes, and forget about NaN.
#if defined(__CUDACC__)
// nvcc's front end knows neither pragma, and its own fast-math flag is about device code.
#define ORCH_LOG_PRECISE_BEGIN
#define ORCH_LOG_PRECISE_END
#elif defined(__clang__)
#define ORCH_LOG_PRECISE_BEGIN _Pragma("float_control(precise, on, push)")
#define ORCH_LOG_PRECISE_END _Pragma("float_control(pop)")
#elif defined(__GNUC__)
#define ORCH_LOG_PRECISE_BEGIN _Pragma("GCC push_options") _Pragma("GCC optimize(\"no-fast-math\")")
#define ORCH_LOG_PRECISE_END _Pragma("GCC pop_options")
#else
#define ORCH_LOG_PRECISE_BEGIN
#define ORCH_LOG_PRECISE_END
#endif

#endif
