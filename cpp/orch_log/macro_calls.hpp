// What the macros call, on and off alike: the same signatures check the arguments in both.
#ifndef ORCH_LOG_MACRO_CALLS_HPP
#define ORCH_LOG_MACRO_CALLS_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "compose.hpp"
#include "event.hpp"
#include "global.hpp"
#include "view.hpp"

namespace orch_log {
namespace detail {

/// A name, dtype or textual shape: a literal, `std::string`, `std::string_view`. Null is empty.
class TextArgument {
public:
    TextArgument(const char* text) noexcept : view_(text == nullptr ? std::string_view() : text) {}  // NOLINT: implicit
    template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view> &&
                                                   !std::is_convertible_v<const Text&, const char*>>>
    TextArgument(const Text& text) noexcept : view_(text) {}  // NOLINT: implicit
    std::string_view view() const noexcept { return view_; }

private:
    std::string_view view_;
};

/// A shape: text, or sizes in an array, vector, span or braces-made `orch_log::Shape`.
class ShapeArgument {
public:
    template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, TextArgument>>>
    ShapeArgument(const Text& text) noexcept : text_(TextArgument(text).view()) {}  // NOLINT: implicit
    template <class Sizes, class = std::enable_if_t<!std::is_convertible_v<const Sizes&, TextArgument> &&
                                                    std::is_convertible_v<const Sizes&, Shape>>,
              class = void>
    ShapeArgument(const Sizes& sizes) noexcept : sizes_(sizes), is_text_(false) {}  // NOLINT: implicit
    void apply(Event& event) const noexcept {
        if (is_text_) {
            event.shape_text(text_);
        } else {
            event.shape(sizes_);
        }
    }

    /// As sizes; text that does not read as a shape gives `fallback`.
    Shape sizes_or(const Shape& fallback) const noexcept {
        if (!is_text_) return sizes_;
        if (!is_shape_text(text_)) return fallback;
        Shape sizes;
        std::size_t size = 0;
        bool in_number = false;
        for (char c : text_) {
            if (c >= '0' && c <= '9') {
                size = size * 10 + static_cast<std::size_t>(c - '0');
                in_number = true;
            } else if (in_number && c != ' ') {
                sizes.push(size);
                size = 0;
                in_number = false;
            }
        }
        return sizes;
    }

private:
    std::string_view text_;
    Shape sizes_;
    bool is_text_ = true;
};

template <class T>
using enable_if_count = std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>;

/// Elements that `data` points to: its own type, or for untyped and 16-bit memory what `dtype` says.
template <class T>
inline Type type_in_memory(std::string_view dtype) noexcept {
    if constexpr (std::is_void_v<T>) {
        return type_of_name(dtype);
    } else if constexpr (std::is_same_v<std::remove_cv_t<T>, std::uint16_t>) {
        const Type named = type_of_name(dtype);  // where there is no half type, its bits are passed
        return named == Type::f16 || named == Type::bf16 ? named : Type::u16;
    } else {
        return element<std::remove_cv_t<T>>::type;
    }
}

template <class T>
inline constexpr bool is_loggable_pointee = std::is_void_v<T> || is_element<T>;

/// `ORCH_LOG_JSON_TOKEN` with a pointer.
template <class T, class Count, class Position, class = std::enable_if_t<is_loggable_pointee<T>>,
          class = enable_if_count<Count>, class = enable_if_count<Position>>
__attribute__((noinline)) inline Status log_json(const TextArgument& name, T* data, Count count, const TextArgument& dtype,
                       const ShapeArgument& shape, Position token_idx) noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    if constexpr (std::is_signed_v<Count>) {
        if (count < 0) return recorder->refuse(Status::invalid_argument);
    }
    Event event(name.view(), static_cast<std::int64_t>(token_idx));
    event.dtype(dtype.view());
    shape.apply(event);
    const Shape sizes{static_cast<std::size_t>(count)};
    return recorder->log_raw(event, make_view(data, type_in_memory<T>(dtype.view()), sizes, nullptr));
}

/// `ORCH_LOG_JSON_TOKEN` with a vector, array or span in the pointer's place.
template <class Container, class Count, class Position,
          class = std::enable_if_t<!std::is_pointer_v<Container> && !std::is_array_v<Container>>,
          class T = std::remove_pointer_t<decltype(std::declval<const Container&>().data())>,
          class = std::enable_if_t<is_loggable_pointee<T>>, class = enable_if_count<Count>,
          class = enable_if_count<Position>>
__attribute__((noinline)) inline Status log_json(const TextArgument& name, const Container& values, Count count, const TextArgument& dtype,
                       const ShapeArgument& shape, Position token_idx) noexcept {
    const auto size = static_cast<std::size_t>(values.size());
    const auto wanted = static_cast<std::size_t>(count);
    if ((std::is_signed_v<Count> && count < Count{0}) || wanted > size) {
        Recorder* recorder = global();
        return recorder == nullptr ? Status::off : recorder->refuse(Status::invalid_argument);
    }
    return log_json(name, values.data(), wanted, dtype, shape, token_idx);
}

}  // namespace detail
}  // namespace orch_log

#endif
