// Which CUDA context a stream belongs to. The runtime knows devices only; an engine may have made contexts of its own.
#ifndef ORCH_LOG_CUDA_DRIVER_HPP
#define ORCH_LOG_CUDA_DRIVER_HPP

#include <cuda_runtime_api.h>

struct CUctx_st;  // the driver's, whose header is not needed for more

namespace orch_log {
namespace cuda {
namespace impl {

/// The driver's functions that the runtime has no counterpart of. The runtime looks them up, so nothing more is linked.
class Driver {
public:
    static const Driver& instance() noexcept {
        static const Driver driver;
        return driver;
    }

    /// Null where there is none yet, or the driver cannot say.
    CUctx_st* current() const noexcept {
        CUctx_st* context = nullptr;
        return get_current_ != nullptr && get_current_(&context) == 0 ? context : nullptr;
    }

    /// The context of a stream; the current one where the driver does not tell (default streams, green contexts).
    CUctx_st* of_stream(cudaStream_t stream) const noexcept {
        CUctx_st* context = nullptr;
        if (stream_context_ != nullptr && stream_context_(stream, &context) == 0 && context != nullptr) return context;
        context = current();
        // A thread that has called nothing so far has no context until it does.
        if (context == nullptr && get_current_ != nullptr && cudaFree(nullptr) == cudaSuccess) context = current();
        return context;
    }

    /// The same where the driver itself says it, null elsewhere. Like all here it leaves no error of the runtime's behind.
    CUctx_st* owner_of(cudaStream_t stream) const noexcept {
        CUctx_st* context = nullptr;
        return stream_context_ != nullptr && stream_context_(stream, &context) == 0 ? context : nullptr;
    }

    /// False where the stream is being captured, or the driver does not tell.
    bool is_not_captured(cudaStream_t stream) const noexcept {
        int status = 1;
        return is_capturing_ != nullptr && is_capturing_(stream, &status) == 0 && status == 0;
    }

    /// Tells a context from another that gets its address when it is gone; 0 where the driver does not tell.
    unsigned long long id_of(CUctx_st* context) const noexcept {
        unsigned long long id = 0;
        return get_id_ != nullptr && context != nullptr && get_id_(context, &id) == 0 ? id : 0;
    }

    bool push(CUctx_st* context) const noexcept { return push_ != nullptr && push_(context) == 0; }
    void pop() const noexcept {
        CUctx_st* popped = nullptr;
        if (pop_ != nullptr) (void)pop_(&popped);
    }

private:
    Driver() noexcept {
        find("cuCtxGetCurrent", get_current_);
        find("cuStreamGetCtx", stream_context_);
        find("cuCtxGetId", get_id_);
        find("cuCtxPushCurrent", push_);
        find("cuCtxPopCurrent", pop_);
        find("cuStreamIsCapturing", is_capturing_);
    }

    template <class Function>
    static void find(const char* name, Function& function) noexcept {
        void* found = nullptr;
        cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
        const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
#else
        const cudaError_t error = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
        if (error == cudaSuccess && result == cudaDriverEntryPointSuccess) function = reinterpret_cast<Function>(found);
    }

    int (*get_current_)(CUctx_st**) = nullptr;
    int (*stream_context_)(cudaStream_t, CUctx_st**) = nullptr;
    int (*get_id_)(CUctx_st*, unsigned long long*) = nullptr;
    int (*push_)(CUctx_st*) = nullptr;
    int (*pop_)(CUctx_st**) = nullptr;
    int (*is_capturing_)(cudaStream_t, int*) = nullptr;
};

/// Makes a context current for as long as it lives, where it is not.
class Entered {
public:
    explicit Entered(CUctx_st* context) noexcept
        : pushed_(context != nullptr && context != Driver::instance().current() && Driver::instance().push(context)) {}
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered() {
        if (pushed_) Driver::instance().pop();
    }

private:
    bool pushed_;
};

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
