// What the macros' arguments are checked against where logging is off: the signatures of log.hpp without anything behind them,
// since nvcc keeps every kernel that a function mentions.
#ifndef ORCH_LOG_CUDA_OFF_HPP
#define ORCH_LOG_CUDA_OFF_HPP

#include <cuda_runtime_api.h>

#include "../orch_log/macro_calls.hpp"
#include "position.hpp"

namespace orch_log {
namespace cuda {

template <class T>
Status log(const Event& event, const TensorView<T>& tensor, const Position& position, cudaStream_t stream) noexcept;
Status end_step(cudaStream_t stream) noexcept;
Status flush() noexcept;

namespace impl {

template <class T, class Count, class = std::enable_if_t<orch_log::detail::is_loggable_pointee<T>>,
          class = orch_log::detail::enable_if_count<Count>>
Status log_pointer(const orch_log::detail::TextArgument& name, T* data, Count count, const orch_log::detail::TextArgument& dtype,
                   const orch_log::detail::ShapeArgument& shape, const Position& position, cudaStream_t stream) noexcept;

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
