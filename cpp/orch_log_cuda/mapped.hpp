// Host memory that the device writes and reads.
#ifndef ORCH_LOG_CUDA_MAPPED_HPP
#define ORCH_LOG_CUDA_MAPPED_HPP

#include <cstddef>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

namespace orch_log {
namespace cuda {

/// Pages of our own that CUDA is told of. CUDA's own host memory (`cudaHostAlloc`) goes with the context, at the latest when the
/// engine calls `cudaDeviceReset`, while our thread still reads it.
class Mapped {
public:
    /// Zeros, known to the current context. On failure there is no memory, and what CUDA said is returned.
    cudaError_t create(std::size_t bytes) noexcept {
        void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) return cudaErrorMemoryAllocation;
        // A child gets none of it: else the kernel would give parent or child a copy at its next write, and the device only one.
        (void)::madvise(pages, bytes, MADV_DONTFORK);
        host_ = static_cast<unsigned char*>(pages);
        bytes_ = bytes;
        const cudaError_t error = make_known();
        if (error != cudaSuccess) release();
        return error;
    }

    /// The same memory, zeros again, for a context that follows on one that is gone.
    cudaError_t renew() noexcept {
        std::memset(host_, 0, bytes_);
        return make_known();
    }

    enum class Known { yes, no, unclear };

    /// Whether CUDA still knows the memory, which it does until the device whose context was told of it is deinitialised. Unclear
    /// while a crashed kernel lets every call fail.
    Known is_known() const noexcept {
        cudaPointerAttributes attributes;
        const cudaError_t error = cudaPointerGetAttributes(&attributes, host_);
        if (error != cudaSuccess) return error == cudaErrorInvalidValue ? Known::no : Known::unclear;
        return attributes.type == cudaMemoryTypeUnregistered ? Known::no : Known::yes;
    }

    /// Gives the memory back. Nobody reads it any more, and nothing on the device is on its way to it.
    void release() noexcept {
        if (host_ == nullptr) return;
        (void)cudaHostUnregister(host_);  // an error where CUDA has forgotten it already
        (void)::munmap(host_, bytes_);
        *this = Mapped();
    }

    unsigned char* host() const noexcept { return host_; }
    /// The same memory as the device addresses it.
    unsigned char* device() const noexcept { return device_; }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    cudaError_t make_known() noexcept {
        constexpr unsigned flags = cudaHostRegisterPortable | cudaHostRegisterMapped;
        cudaError_t error = cudaHostRegister(host_, bytes_, flags);
        if (error == cudaErrorHostMemoryAlreadyRegistered && cudaHostUnregister(host_) == cudaSuccess) error = cudaHostRegister(host_, bytes_, flags);
        if (error != cudaSuccess) return error;
        void* device = nullptr;
        error = cudaHostGetDevicePointer(&device, host_, 0);
        device_ = static_cast<unsigned char*>(device);
        return error;
    }

    unsigned char* host_ = nullptr;
    unsigned char* device_ = nullptr;
    std::size_t bytes_ = 0;
};

/// One line for the engine's user: what is not logged, what could not be done, and what CUDA said of it.
inline void tell_failure(const char* consequence, const char* what, std::size_t bytes, cudaError_t error) noexcept {
    char line[320];
    const int length = std::snprintf(line, sizeof line, "orch_log: %s: %s (%zu bytes): %s\n", consequence, what, bytes, cudaGetErrorString(error));
    if (length > 0) (void)!::write(STDERR_FILENO, line, static_cast<std::size_t>(length) < sizeof line ? static_cast<std::size_t>(length) : sizeof line - 1);
}

}  // namespace cuda
}  // namespace orch_log

#endif
