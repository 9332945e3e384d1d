// As much of the CUDA runtime as tests/device_pointer.cpp needs on a machine without one: "device memory" is an address
// range that cannot be read.
#ifndef ORCH_LOG_TESTS_FAKE_CUDA_H
#define ORCH_LOG_TESTS_FAKE_CUDA_H

#include <cstddef>

#include <sys/mman.h>

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum cudaMemoryType { cudaMemoryTypeUnregistered = 0, cudaMemoryTypeHost = 1, cudaMemoryTypeDevice = 2, cudaMemoryTypeManaged = 3 };
struct cudaPointerAttributes {
    cudaMemoryType type;
};

namespace fake_cuda {
inline char* begin = nullptr;
inline std::size_t size = 0;
}  // namespace fake_cuda

inline cudaError_t cudaMalloc(void** memory, std::size_t size) {
    *memory = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fake_cuda::begin = static_cast<char*>(*memory);
    fake_cuda::size = size;
    return *memory == MAP_FAILED ? cudaErrorInvalidValue : cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) { return munmap(memory, fake_cuda::size) == 0 ? cudaSuccess : cudaErrorInvalidValue; }
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    const char* at = static_cast<const char*>(pointer);
    const bool device = at >= fake_cuda::begin && at < fake_cuda::begin + fake_cuda::size;
    attributes->type = device ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaPeekAtLastError() { return cudaSuccess; }

#endif
