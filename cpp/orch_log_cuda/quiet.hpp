// CUDA calls that leave no trace in the engine's own error handling.
#ifndef ORCH_LOG_CUDA_QUIET_HPP
#define ORCH_LOG_CUDA_QUIET_HPP

#include <cuda_runtime_api.h>

namespace orch_log {
namespace cuda {

/// While it lives, errors of ours are taken away again, and calls that a stream capture forbids by default (allocating
/// memory for ourselves, which no captured work depends on) are allowed to this thread.
class Quiet {
public:
    Quiet() noexcept : engine_has_error_(cudaPeekAtLastError() != cudaSuccess) {
        (void)cudaThreadExchangeStreamCaptureMode(&mode_);
    }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
    ~Quiet() {
        (void)cudaThreadExchangeStreamCaptureMode(&mode_);
        // The engine's next check must find its own errors and none of ours.
        if (!engine_has_error_) (void)cudaGetLastError();
    }

private:
    bool engine_has_error_;
    cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace cuda
}  // namespace orch_log

#endif
