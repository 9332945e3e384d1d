// What the device tests share.
#ifndef ORCH_LOG_TESTS_CUDA_COMMON_CUH
#define ORCH_LOG_TESTS_CUDA_COMMON_CUH

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "orch_log_cuda.cuh"

#define MUST(call)                                                                                       \
    do {                                                                                                 \
        const cudaError_t error_ = (call);                                                               \
        if (error_ != cudaSuccess) {                                                                     \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error_)); \
            std::exit(1);                                                                                \
        }                                                                                                \
    } while (0)

/// xorshift64*, so that every machine tests the same bytes.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    std::uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1du;
    }

private:
    std::uint64_t state_;
};

/// A stand-in for an engine's step: `layers` kernels, each of which reads and writes one buffer that the next one reuses, as
/// engines do. The buffer's contents at a checkpoint follow from step and layer alone, which the checks rely on.
static __global__ void engine_kernel(float* buffer, int n, const int* position, int layer) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) buffer[i] = static_cast<float>(*position % 8 * 1024 + layer) + static_cast<float>(i) * 0.0009765625f;
}

static __global__ void advance(int* position) { *position += 1; }

/// Arithmetic whose result depends on all that came before: for comparing runs bit for bit.
static __global__ void mix(const float* in, float* out, int n, int layer) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    float sum = 0.0f;
    for (int j = 0; j < 32; ++j) sum += in[(i * 31 + j * 17 + layer) % n] * __sinf(static_cast<float>(j + layer));
    out[i] = sum / (1.0f + fabsf(sum));
}

#endif
