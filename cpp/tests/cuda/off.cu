// A program with logging calls that is built without ORCH_LOGGING.
#include "orch_log_cuda.cuh"

void step(float* x, const int* position, cudaStream_t stream) {
#if defined(MISTAKE)
    ORCH_LOG_CUDA("x", x, "many", "f32", "[8]", position, stream);
#else
    ORCH_LOG_CUDA("x", x, 8, "f32", "[8]", position, stream);
#endif
    ORCH_LOG_CUDA_EVENT(orch_log::Event("y", 0), orch_log::TensorView<float>(x, 8), position, stream);
    ORCH_LOG_CUDA_COUNT_STEPS();
    ORCH_LOG_CUDA_STEP(stream);
    ORCH_LOG_CUDA_FLUSH();
}
