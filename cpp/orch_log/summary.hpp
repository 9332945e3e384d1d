// Statistics and the sketch over all elements of a tensor, in one pass.
#ifndef ORCH_LOG_SUMMARY_HPP
#define ORCH_LOG_SUMMARY_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "view.hpp"

namespace orch_log {

/// Inner products in a sketch.
inline constexpr std::size_t projections = 16;

/// What `stats` of a record holds. NaN and infinities are counted, and excluded from the rest, which is
/// NaN when no element is finite.
struct Stats {
    std::uint64_t n = 0;     ///< Elements.
    std::uint64_t nan = 0;   ///< Of them NaN.
    std::uint64_t inf = 0;   ///< Of them infinite, of either sign.
    std::uint64_t zero = 0;  ///< Of them zero, of either sign.
    double min = std::numeric_limits<double>::quiet_NaN();   ///< Least finite element; never `-0.0`.
    double max = std::numeric_limits<double>::quiet_NaN();   ///< Greatest finite element; never `-0.0`.
    double mean = std::numeric_limits<double>::quiet_NaN();  ///< Of the finite elements.
    double rms = std::numeric_limits<double>::quiet_NaN();   ///< Root of the mean square of the finite elements.
};

/// Inner products of the flattened tensor with fixed pseudo-random signs, see spec/trace-format.md.
struct Sketch {
    double s[projections] = {};
};

namespace detail {

struct Summary {
    Stats stats;
    Sketch sketch;
};

}  // namespace detail
}  // namespace orch_log

#endif
