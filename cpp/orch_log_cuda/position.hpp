// Where in the sequence a tensor on the device belongs.
#ifndef ORCH_LOG_CUDA_POSITION_HPP
#define ORCH_LOG_CUDA_POSITION_HPP

#include <cstdint>
#include <type_traits>

namespace orch_log {
namespace cuda {

/// A token position: a number, or a counter in device memory that is read when the tensor is, which is what a graph
/// needs whose replays are at different positions.
class Position {
public:
    template <class Int, class = std::enable_if_t<std::is_integral_v<Int> && !std::is_same_v<Int, bool>>>
    Position(Int value) noexcept : value_(static_cast<std::int64_t>(value)) {}  // NOLINT: implicit
    Position(const int* counter, std::int64_t plus = 0) noexcept  // NOLINT: implicit
        : value_(plus), counter_(counter), bits_(32) {}
    Position(const long long* counter, std::int64_t plus = 0) noexcept  // NOLINT: implicit
        : value_(plus), counter_(counter), bits_(64) {}
    Position(const long* counter, std::int64_t plus = 0) noexcept  // NOLINT: implicit
        : value_(plus), counter_(counter), bits_(8 * sizeof(long)) {}

    std::int64_t value() const noexcept { return value_; }
    const void* counter() const noexcept { return counter_; }
    unsigned bits() const noexcept { return bits_; }

private:
    std::int64_t value_;
    const void* counter_ = nullptr;
    unsigned bits_ = 0;
};

}  // namespace cuda
}  // namespace orch_log

#endif
