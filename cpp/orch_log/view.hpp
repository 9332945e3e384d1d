// Tensors as the logger sees them: a pointer, a shape and strides, read in logical row-major order.
#ifndef ORCH_LOG_VIEW_HPP
#define ORCH_LOG_VIEW_HPP

#include <cstddef>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "element.hpp"

namespace orch_log {

/// Axes that a view or a record can have. ggml has 4, attention with batch and groups 5.
inline constexpr std::size_t max_axes = 8;

/// Sizes or strides of up to `max_axes` axes, outermost first.
template <class Number>
class Axes {
public:
    constexpr Axes() noexcept = default;
    constexpr Axes(std::initializer_list<Number> sizes) noexcept {
        for (Number size : sizes) push(size);
    }
    /// From an array, vector, span or the like of integers.
    template <class Range, class Size = decltype(std::declval<const Range&>().size()),
              class Item = std::remove_reference_t<decltype(std::declval<const Range&>()[0])>,
              class = std::enable_if_t<std::is_integral_v<std::remove_cv_t<Item>>>>
    constexpr Axes(const Range& sizes) noexcept {  // NOLINT: implicit, so that a vector is a shape
        for (std::size_t i = 0; i < sizes.size(); ++i) push_any(sizes[i]);
    }
    template <class Item, std::size_t N, class = std::enable_if_t<std::is_integral_v<Item>>>
    constexpr Axes(const Item (&sizes)[N]) noexcept {  // NOLINT: implicit
        for (std::size_t i = 0; i < N; ++i) push_any(sizes[i]);
    }

    constexpr std::size_t count() const noexcept { return count_; }
    constexpr Number operator[](std::size_t axis) const noexcept { return sizes_[axis]; }
    constexpr Number& operator[](std::size_t axis) noexcept { return sizes_[axis]; }
    /// False when more than `max_axes` or a negative size were given: such a tensor is refused.
    constexpr bool valid() const noexcept { return valid_; }

    constexpr void push(Number size) noexcept {
        if (count_ < max_axes) {
            sizes_[count_++] = size;
        } else {
            valid_ = false;
        }
    }

private:
    template <class Item>
    constexpr void push_any(Item size) noexcept {
        if constexpr (std::is_signed_v<Item> && std::is_unsigned_v<Number>) {
            if (size < 0) valid_ = false;
        }
        push(static_cast<Number>(size));
    }

    Number sizes_[max_axes] = {};
    std::size_t count_ = 0;
    bool valid_ = true;
};

using Shape = Axes<std::size_t>;
using Strides = Axes<std::ptrdiff_t>;

namespace detail {

/// A view without its element type: what the one compiled path of the logger works on.
struct RawView {
    const unsigned char* data = nullptr;  // the first element in logical order
    Type type = Type::none;
    Shape shape;
    Strides strides;  // in elements; as many as the shape has axes
    std::size_t count = 0;
    bool valid = true;

    /// Row-major without gaps, so that logical order is memory order.
    bool contiguous() const noexcept {
        if (count == 0) return true;
        std::ptrdiff_t expected = 1;
        for (std::size_t axis = shape.count(); axis-- > 0;) {
            if (shape[axis] > 1 && strides[axis] != expected) return false;
            expected *= static_cast<std::ptrdiff_t>(shape[axis]);
        }
        return true;
    }
};

/// Elements of a shape; false when the product does not fit in memory.
inline bool count_elements(const Shape& shape, std::size_t& count) noexcept {
    count = 1;
    bool fits = true;
    for (std::size_t axis = 0; axis < shape.count(); ++axis) {
        if (shape[axis] != 0 && count > static_cast<std::size_t>(PTRDIFF_MAX) / 8 / shape[axis]) fits = false;
        count *= shape[axis];
    }
    return fits;
}

inline RawView make_view(const void* data, Type type, const Shape& shape, const Strides* strides) noexcept {
    RawView view;
    view.data = static_cast<const unsigned char*>(data);
    view.type = type;
    view.shape = shape;
    view.valid = shape.valid() && count_elements(shape, view.count);
    if (strides != nullptr) {
        view.strides = *strides;
        view.valid = view.valid && strides->valid() && strides->count() == shape.count();
    } else {
        for (std::size_t axis = 0; axis < shape.count(); ++axis) view.strides.push(0);
        std::size_t step = 1;  // unsigned: may wrap beside an axis of size 0, and is not used then
        for (std::size_t axis = shape.count(); axis-- > 0;) {
            view.strides[axis] = static_cast<std::ptrdiff_t>(step);
            step *= shape[axis];
        }
    }
    view.valid = view.valid && (data != nullptr || view.count == 0);
    return view;
}

/// Walks a strided view in logical order, one run of the innermost axis after the other.
class Cursor {
public:
    explicit Cursor(const RawView& view) noexcept : view_(view), at_(view.data), left_(view.count) {}

    /// The next elements that lie `stride_bytes` apart, at most `limit`; 0 at the end.
    std::size_t next(std::size_t limit, const unsigned char*& data, std::ptrdiff_t& stride_bytes) noexcept {
        const std::size_t axes = view_.shape.count();
        const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(size_bytes(view_.type));
        if (left_ == 0) return 0;
        data = at_;
        if (axes == 0) {
            left_ = 0;
            stride_bytes = size;
            return 1;
        }
        stride_bytes = view_.strides[axes - 1] * size;
        std::size_t run = view_.shape[axes - 1] - index_[axes - 1];
        if (run > limit) run = limit;
        left_ -= run;
        index_[axes - 1] += run;
        at_ += static_cast<std::ptrdiff_t>(run) * stride_bytes;
        for (std::size_t axis = axes - 1; axis > 0 && index_[axis] == view_.shape[axis] && left_ > 0; --axis) {
            at_ += (view_.strides[axis - 1] - static_cast<std::ptrdiff_t>(index_[axis]) * view_.strides[axis]) * size;
            index_[axis] = 0;
            ++index_[axis - 1];
        }
        return run;
    }

private:
    const RawView& view_;
    const unsigned char* at_;
    std::size_t left_;
    std::size_t index_[max_axes] = {};
};

}  // namespace detail

/// A tensor of elements `T` in memory that the caller keeps alive during the call.
///
/// Shapes are outermost first, strides count elements and may be 0 (broadcast) or negative (reversed;
/// the pointer is then that of the first element in logical order).
template <class T>
class TensorView {
    static_assert(is_element<T>, "orch_log cannot read this element type: specialise orch_log::element");

public:
    TensorView(const T* data, std::size_t count) noexcept : TensorView(data, Shape{count}) {}
    TensorView(const T* data, const Shape& shape) noexcept
        : raw_(detail::make_view(data, element<std::remove_cv_t<T>>::type, shape, nullptr)) {}
    TensorView(const T* data, const Shape& shape, const Strides& strides) noexcept
        : raw_(detail::make_view(data, element<std::remove_cv_t<T>>::type, shape, &strides)) {}
    /// From a C array.
    template <std::size_t N>
    TensorView(const T (&data)[N]) noexcept : TensorView(data, N) {}  // NOLINT: implicit

    /// From a vector, `std::array`, span or anything else with `data()` and `size()`.
    template <class Container, class = std::enable_if_t<std::is_convertible_v<
                                   decltype(std::declval<const Container&>().data()), const T*>>,
              class = decltype(std::declval<const Container&>().size())>
    TensorView(const Container& values) noexcept  // NOLINT: implicit, so that a vector is a tensor
        : TensorView(values.data(), values.size()) {}

    const detail::RawView& raw() const noexcept { return raw_; }

private:
    detail::RawView raw_;
};

template <class Container>
TensorView(const Container&)
    -> TensorView<std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const Container&>().data())>>>;

}  // namespace orch_log

#endif
