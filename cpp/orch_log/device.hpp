// Telling device memory from host memory.
#ifndef ORCH_LOG_DEVICE_HPP
#define ORCH_LOG_DEVICE_HPP

#if defined(__CUDACC__) || defined(ORCH_LOG_WITH_CUDA)
#include <cuda_runtime_api.h>
#endif

namespace orch_log {
namespace detail {

/// True for a pointer that the host must not read. Known only when compiled with CUDA (`__CUDACC__` or
/// `ORCH_LOG_WITH_CUDA`, linked with cudart): without, every pointer is taken at its word, and a device pointer
/// crashes the program as any other read of it would.
inline bool is_device_pointer(const void* pointer) noexcept {
#if defined(__CUDACC__) || defined(ORCH_LOG_WITH_CUDA)
    const bool engine_has_error = cudaPeekAtLastError() != cudaSuccess;
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) {
        // The engine's next check must find its own errors and none of our question's.
        if (!engine_has_error) (void)cudaGetLastError();
        return false;
    }
    return attributes.type == cudaMemoryTypeDevice;
#else
    (void)pointer;
    return false;
#endif
}

}  // namespace detail
}  // namespace orch_log

#endif
