// orch_log for tensors in device memory: logs them inside CUDA graphs too, without copying them to the host, without
// synchronising, and without changing what the engine computes.
//
//     #include "orch_log_cuda.cuh"
//     …
//     ORCH_LOG_CUDA_COUNT_STEPS();  // once, at the start
//     …
//     ORCH_LOG_CUDA("layer_0_output", output_device, 896, "f32", "[896]", position, stream);
//     …
//     ORCH_LOG_CUDA_STEP(stream);   // at the end of each forward pass
//
// Build with nvcc and -DORCH_LOGGING, run with ORCH_LOG_FILE=run.jsonl. The device computes statistics and the sketch in one
// pass and writes a record into a ring in host memory; a thread of ours writes it to the trace. See README.md.
#ifndef ORCH_LOG_CUDA_CUH
#define ORCH_LOG_CUDA_CUH

#if !defined(__CUDACC__)
#error "orch_log_cuda.cuh holds kernels: compile it with nvcc"
#endif

#include "orch_log.hpp"

#if !defined(ORCH_LOGGING)

#include "orch_log_cuda/off.hpp"

#define ORCH_LOG_CUDA(name, device_ptr, n, dtype, shape, token_idx, stream)                                             \
    (static_cast<void>(sizeof(                                                                                          \
        ::orch_log::cuda::impl::log_pointer((name), (device_ptr), (n), (dtype), (shape), (token_idx), (stream)))))
#define ORCH_LOG_CUDA_EVENT(event, tensor, token_idx, stream) \
    (static_cast<void>(sizeof(::orch_log::cuda::log((event), (tensor), (token_idx), (stream)))))
#define ORCH_LOG_CUDA_STEP(stream) (static_cast<void>(sizeof(::orch_log::cuda::end_step((stream)))))
#define ORCH_LOG_CUDA_COUNT_STEPS() (static_cast<void>(0))
#define ORCH_LOG_CUDA_FLUSH() (static_cast<void>(sizeof(::orch_log::cuda::flush())))

#else

#include "orch_log_cuda/log.hpp"

/// Logs `n` elements in device memory as checkpoint `name`, once `stream` has come this far. `token_idx` is a number or a
/// pointer to a counter in device memory, which is read when the tensor is. Legal while `stream` is being captured; the
/// record is then written at each replay. The other arguments are those of `ORCH_LOG_JSON_TOKEN`.
#define ORCH_LOG_CUDA(name, device_ptr, n, dtype, shape, token_idx, stream)                                             \
    (::orch_log::global() == nullptr                                                                                    \
         ? static_cast<void>(0)                                                                                         \
         : static_cast<void>(::orch_log::cuda::impl::log_pointer((name), (device_ptr), (n), (dtype), (shape),         \
                                                                   (token_idx), (stream))))

/// Logs a `TensorView` over device memory (strides, more than a name) with everything that an `orch_log::Event` can say.
#define ORCH_LOG_CUDA_EVENT(event, tensor, token_idx, stream) \
    (::orch_log::global() == nullptr                          \
         ? static_cast<void>(0)                               \
         : static_cast<void>(::orch_log::cuda::log((event), (tensor), (token_idx), (stream))))

/// Says at the start that the engine ends its passes with `ORCH_LOG_CUDA_STEP`: then the records of the first one say `step` too.
#define ORCH_LOG_CUDA_COUNT_STEPS() (::orch_log::cuda::count_steps())

/// Ends a forward pass. Needed once a pass for `step` to be right, and for `ORCH_LOG_DETAIL=full`.
#define ORCH_LOG_CUDA_STEP(stream) \
    (::orch_log::global() == nullptr ? static_cast<void>(0) : static_cast<void>(::orch_log::cuda::end_step((stream))))

/// Waits for the devices and returns when everything logged is on the disk.
#define ORCH_LOG_CUDA_FLUSH() (static_cast<void>(::orch_log::cuda::flush()))

#endif
#endif
