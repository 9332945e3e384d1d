// Element types: what the header can read from memory, and how it calls it in a trace.
#ifndef ORCH_LOG_ELEMENT_HPP
#define ORCH_LOG_ELEMENT_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "text.hpp"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_fp16.h>
#endif

namespace orch_log {

/// IEEE binary16 as two bytes, for compilers and libraries without a half type.
struct f16 {
    std::uint16_t bits;
};

/// bfloat16 as two bytes: the upper half of an f32.
struct bf16 {
    std::uint16_t bits;
};

/// OCP 8-bit float, 4 exponent bits, no infinities, as one byte.
struct f8_e4m3 {
    std::uint8_t bits;
};

/// OCP 8-bit float, 5 exponent bits: the upper half of a binary16.
struct f8_e5m2 {
    std::uint8_t bits;
};

/// How the elements of a tensor lie in memory.
enum class Type : std::uint8_t { none, f64, f32, f16, bf16, f8_e4m3, f8_e5m2, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

/// The last of them, for loops over all.
inline constexpr Type last_type = Type::boolean;

constexpr std::size_t size_bytes(Type type) noexcept {
    switch (type) {
        case Type::f64:
        case Type::i64:
        case Type::u64: return 8;
        case Type::f32:
        case Type::i32:
        case Type::u32: return 4;
        case Type::f16:
        case Type::bf16:
        case Type::i16:
        case Type::u16: return 2;
        case Type::f8_e4m3:
        case Type::f8_e5m2:
        case Type::i8:
        case Type::u8:
        case Type::boolean: return 1;
        case Type::none: return 0;
    }
    return 0;
}

/// The name in a trace, lower case.
constexpr std::string_view dtype_name(Type type) noexcept {
    switch (type) {
        case Type::f64: return "f64";
        case Type::f32: return "f32";
        case Type::f16: return "f16";
        case Type::bf16: return "bf16";
        case Type::f8_e4m3: return "f8_e4m3";
        case Type::f8_e5m2: return "f8_e5m2";
        case Type::i64: return "i64";
        case Type::i32: return "i32";
        case Type::i16: return "i16";
        case Type::i8: return "i8";
        case Type::u64: return "u64";
        case Type::u32: return "u32";
        case Type::u16: return "u16";
        case Type::u8: return "u8";
        case Type::boolean: return "bool";
        case Type::none: return "";
    }
    return "";
}

namespace detail {

/// `float32`, `BFloat16` and the like, from Python's and safetensors' worlds.
struct Synonym {
    std::string_view name;
    Type type;
};

inline constexpr Synonym synonyms[] = {
    {"float64", Type::f64}, {"double", Type::f64},   {"float32", Type::f32},   {"float", Type::f32},
    {"fp32", Type::f32},    {"float16", Type::f16},  {"half", Type::f16},      {"fp16", Type::f16},
    {"bfloat16", Type::bf16}, {"float8_e4m3fn", Type::f8_e4m3}, {"f8_e4m3fn", Type::f8_e4m3},
    {"float8_e5m2", Type::f8_e5m2}, {"int8", Type::i8},    {"int16", Type::i16},     {"int32", Type::i32},
    {"int", Type::i32},     {"int64", Type::i64},    {"uint8", Type::u8},      {"uint16", Type::u16},
    {"uint32", Type::u32},  {"uint64", Type::u64},
};

}  // namespace detail

/// Reads a name in any case, synonyms included; `Type::none` for what memory cannot be read as (`q4_0`).
inline Type type_of_name(std::string_view name) noexcept {
    for (int i = 1; i <= static_cast<int>(last_type); ++i) {
        const Type type = static_cast<Type>(i);
        if (detail::equals_ignoring_case(name, dtype_name(type))) return type;
    }
    for (const detail::Synonym& synonym : detail::synonyms) {
        if (detail::equals_ignoring_case(name, synonym.name)) return synonym.type;
    }
    return Type::none;
}

/// Maps a C++ type to its `Type`. Specialise it for a half type of your own that is two bytes:
/// `template <> struct orch_log::element<my::half> : orch_log::element<orch_log::f16> {};`
template <class T, class = void>
struct element {
    static constexpr Type type = Type::none;
};

template <>
struct element<float> {
    static constexpr Type type = Type::f32;
};
template <>
struct element<double> {
    static constexpr Type type = Type::f64;
};
template <>
struct element<f16> {
    static constexpr Type type = Type::f16;
};
template <>
struct element<bf16> {
    static constexpr Type type = Type::bf16;
};

template <>
struct element<f8_e4m3> {
    static constexpr Type type = Type::f8_e4m3;
};
template <>
struct element<f8_e5m2> {
    static constexpr Type type = Type::f8_e5m2;
};
template <>
struct element<bool> {
    static constexpr Type type = Type::boolean;
};

/// Every integer by its size and sign, but not `char` and its Unicode kin, which are text.
template <class T>
struct element<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char> &&
                                   !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char16_t> &&
                                   !std::is_same_v<T, char32_t>>> {
    static constexpr Type type = std::is_signed_v<T> ? (sizeof(T) == 8   ? Type::i64
                                                        : sizeof(T) == 4 ? Type::i32
                                                        : sizeof(T) == 2 ? Type::i16
                                                                         : Type::i8)
                                                     : (sizeof(T) == 8   ? Type::u64
                                                        : sizeof(T) == 4 ? Type::u32
                                                        : sizeof(T) == 2 ? Type::u16
                                                                         : Type::u8);
};

#if defined(__FLT16_MAX__)
template <>
struct element<_Float16> {
    static constexpr Type type = Type::f16;
};
#endif
#if defined(__STDCPP_BFLOAT16_T__)
template <>
struct element<decltype(0.0bf16)> {
    static constexpr Type type = Type::bf16;
};
#endif
#if defined(__CUDACC__)
template <>
struct element<__half> {
    static constexpr Type type = Type::f16;
};
template <>
struct element<__nv_bfloat16> {
    static constexpr Type type = Type::bf16;
};
#endif

/// True for what the logger can read.
template <class T>
inline constexpr bool is_element = element<std::remove_cv_t<T>>::type != Type::none;

namespace detail {

/// Reads one element of any alignment. Engines do hand out misaligned pointers (packed weights).
template <class T>
inline T load(const void* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

inline float float_of_bits(std::uint32_t bits) noexcept { return load<float>(&bits); }

inline float widen_bf16(std::uint16_t bits) noexcept {
    return float_of_bits(static_cast<std::uint32_t>(bits) << 16);
}

/// Exact: every binary16 is a binary32. No operand or result is subnormal, so that it holds too where the engine has
/// subnormals flushed to zero.
inline float widen_f16(std::uint16_t half) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t magnitude = half & 0x7fffu;
    if (magnitude < 0x0400u) {  // subnormal: a multiple of 2^-24
        const float value = static_cast<float>(magnitude) * float_of_bits(0x33800000u);
        return float_of_bits(sign | load<std::uint32_t>(&value));
    }
    // The exponent moves from bias 15 to 127, that of infinity and NaN to all ones.
    return float_of_bits(sign | ((magnitude << 13) + (magnitude < 0x7c00u ? 0x38000000u : 0x70000000u)));
}

inline float widen_f8_e5m2(std::uint8_t bits) noexcept {
    return widen_f16(static_cast<std::uint16_t>(bits << 8));
}

/// Exact. The largest magnitude is NaN, of either sign; everything else is a number.
inline float widen_f8_e4m3(std::uint8_t bits) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80u) << 24;
    const std::uint32_t magnitude = bits & 0x7fu;
    if (magnitude == 0x7fu) return float_of_bits(sign | 0x7fc00000u);
    if (magnitude < 8u) {  // subnormal: a multiple of 2^-9
        const float value = static_cast<float>(magnitude) * float_of_bits(0x3b000000u);
        return float_of_bits(sign | load<std::uint32_t>(&value));
    }
    return float_of_bits(sign | ((magnitude << 20) + 0x3c000000u));  // bias 7 to 127
}

/// Element `at` of type `type`; rounded only where 64-bit integers exceed 2^53.
template <class Scalar>
inline Scalar element_as(const unsigned char* at, Type type) noexcept {
    switch (type) {
        case Type::f32: return static_cast<Scalar>(load<float>(at));
        case Type::f64: return static_cast<Scalar>(load<double>(at));
        case Type::f16: return static_cast<Scalar>(widen_f16(load<std::uint16_t>(at)));
        case Type::bf16: return static_cast<Scalar>(widen_bf16(load<std::uint16_t>(at)));
        case Type::f8_e4m3: return static_cast<Scalar>(widen_f8_e4m3(*at));
        case Type::f8_e5m2: return static_cast<Scalar>(widen_f8_e5m2(*at));
        case Type::i64: return static_cast<Scalar>(load<std::int64_t>(at));
        case Type::i32: return static_cast<Scalar>(load<std::int32_t>(at));
        case Type::i16: return static_cast<Scalar>(load<std::int16_t>(at));
        case Type::i8: return static_cast<Scalar>(load<std::int8_t>(at));
        case Type::u64: return static_cast<Scalar>(load<std::uint64_t>(at));
        case Type::u32: return static_cast<Scalar>(load<std::uint32_t>(at));
        case Type::u16: return static_cast<Scalar>(load<std::uint16_t>(at));
        case Type::u8: return static_cast<Scalar>(*at);
        case Type::boolean: return static_cast<Scalar>(*at != 0);
        case Type::none: break;
    }
    return Scalar{0};
}

}  // namespace detail
}  // namespace orch_log

#endif
