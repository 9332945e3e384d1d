// A CUDA runtime without a device, for tests of the host's side: memory is the host's, and kernels do what the test says. What a
// program must not do after a reset of the device crashes here as it does there.
#include "fake_runtime.hpp"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include <sys/mman.h>

namespace fake {

State state;

namespace {

struct Piece {
    std::size_t bytes;
    CUctx_st* context;
};

std::mutex mutex;
std::map<void*, Piece> device_memory;
std::map<void*, Piece> registered;
std::vector<UserObject> objects;
std::map<CUctx_st*, unsigned long long> ids;
thread_local std::vector<CUctx_st*> pushed;

CUctx_st* primary() { return reinterpret_cast<CUctx_st*>(0x1000); }

}  // namespace

CUctx_st* current() {
    if (!pushed.empty()) return pushed.back();
    return state.primary_exists ? primary() : nullptr;
}

void forget(CUctx_st* context) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (auto piece = device_memory.begin(); piece != device_memory.end();) {
        if (piece->second.context != context) { ++piece; continue; }
        mprotect(piece->first, piece->second.bytes, PROT_NONE);
        piece = device_memory.erase(piece);
    }
    ids.erase(context);
    if (state.keeps_registrations) return;
    for (auto piece = registered.begin(); piece != registered.end();) {
        if (piece->second.context == context) piece = registered.erase(piece);
        else ++piece;
    }
}

void reset() { forget(primary()); state.primary_exists = state.is_broken = false; }
std::size_t registered_pieces() { return registered.size(); }

void destroy_graph(cudaGraph_t graph) {
    for (UserObject& object : objects) {
        if (object.graph != graph || object.destroy == nullptr) continue;
        object.destroy(object.data);
        object.destroy = nullptr;
    }
}

}  // namespace fake

using fake::state;

namespace {

struct CUctx_st* the_current() { return state.primary_exists = true, fake::current(); }

int get_current(CUctx_st** context) { return ++state.calls, *context = fake::current(), 0; }
int stream_context(cudaStream_t stream, CUctx_st** context) {
    ++state.calls;
    const auto found = state.stream_contexts.find(stream);
    *context = found == state.stream_contexts.end() ? fake::current() : found->second;
    return *context == nullptr ? 201 : 0;
}
int get_id(CUctx_st* context, unsigned long long* id) {
    ++state.calls;
    const std::lock_guard<std::mutex> lock(fake::mutex);
    unsigned long long& known = fake::ids[context];
    if (known == 0) known = state.generation++;
    return *id = known, 0;
}
int is_capturing(cudaStream_t, int* status) { return ++state.calls, *status = state.capture != 0, 0; }
int push(CUctx_st* context) { return ++state.calls, fake::pushed.push_back(context), 0; }
int pop(CUctx_st** context) { return ++state.calls, *context = fake::pushed.back(), fake::pushed.pop_back(), 0; }

}  // namespace

extern "C" {

cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaPeekAtLastError(void) { return ++state.calls, cudaSuccess; }
cudaError_t cudaGetLastError(void) { return ++state.calls, cudaSuccess; }
const char* cudaGetErrorString(cudaError_t error) { return error == cudaErrorMemoryAllocation ? "out of memory" : "none"; }
cudaError_t cudaDeviceSynchronize(void) { return ++state.synchronisations, cudaSuccess; }
cudaError_t cudaDeviceReset(void) { return fake::reset(), cudaSuccess; }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    ++state.calls;
    if (state.is_broken) return cudaErrorLaunchFailure;
    const std::lock_guard<std::mutex> lock(fake::mutex);
    const char* at = static_cast<const char*>(pointer);
    attributes->type = cudaMemoryTypeUnregistered;
    for (const auto& [memory, piece] : fake::device_memory) {
        const char* begin = static_cast<const char*>(memory);
        if (at >= begin && at < begin + piece.bytes) attributes->type = cudaMemoryTypeDevice;
    }
    if (fake::registered.count(const_cast<void*>(pointer)) == 1) attributes->type = cudaMemoryTypeHost;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) { return *value = 0, cudaSuccess; }
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return ++state.calls, cudaSuccess; }
cudaError_t cudaMalloc(void** memory, size_t size) {
    if (state.is_broken) return cudaErrorLaunchFailure;
    CUctx_st* context = the_current();
    *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*memory == MAP_FAILED) return cudaErrorMemoryAllocation;
    const std::lock_guard<std::mutex> lock(fake::mutex);
    fake::device_memory[*memory] = {size, context};
    return cudaSuccess;
}
cudaError_t cudaFree(void*) { return the_current(), state.is_broken ? cudaErrorLaunchFailure : cudaSuccess; }
cudaError_t cudaHostRegister(void* host, size_t size, unsigned flags) {
    if (state.is_broken) return cudaErrorLaunchFailure;
    if (state.registrations_until_failure == 0) return cudaErrorMemoryAllocation;
    if (state.registrations_until_failure > 0) --state.registrations_until_failure;
    // Whole pages that can be written, portable and mapped: what the logger relies on.
    if (reinterpret_cast<std::size_t>(host) % 4096 != 0 || flags != (cudaHostRegisterPortable | cudaHostRegisterMapped)) return cudaErrorInvalidValue;
    CUctx_st* context = the_current();
    const std::lock_guard<std::mutex> lock(fake::mutex);
    if (fake::registered.count(host) != 0) return cudaErrorHostMemoryAlreadyRegistered;
    fake::registered[host] = {size, context};
    return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* host) {
    const std::lock_guard<std::mutex> lock(fake::mutex);
    return fake::registered.erase(host) == 1 ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) { return *device = host, cudaSuccess; }
cudaError_t cudaMemsetAsync(void* memory, int value, size_t size, cudaStream_t) { return std::memset(memory, value, size), cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t) { return std::memcpy(to, from, size), cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return *stream = nullptr, state.is_broken ? cudaErrorLaunchFailure : cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return ++state.calls, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = nullptr, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return ++state.calls, cudaSuccess; }
cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3, void** arguments, size_t, cudaStream_t) {
    ++state.calls;
    if (state.is_broken) return cudaErrorLaunchFailure;
    if (state.on_launch != nullptr) state.on_launch(kernel, grid.x, arguments);
    return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** waits_for, const cudaGraphEdgeData**, size_t* count) {
    ++state.calls;
    *status = state.capture == 0 ? cudaStreamCaptureStatusNone : cudaStreamCaptureStatusActive;
    *id = state.capture;
    *graph = reinterpret_cast<cudaGraph_t>(state.capture);
    static const cudaGraphNode_t last = nullptr;
    *waits_for = &last;
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t, cudaGraphNode_t*, const cudaGraphEdgeData*, size_t, unsigned) { return cudaSuccess; }
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t, const cudaGraphNode_t*, size_t, const cudaKernelNodeParams*) {
    static std::size_t nodes = 0;
    return *node = reinterpret_cast<cudaGraphNode_t>(++nodes), cudaSuccess;
}
cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t, const cudaKernelNodeParams*) { return cudaSuccess; }
cudaError_t cudaGraphAddDependencies(cudaGraph_t, const cudaGraphNode_t*, const cudaGraphNode_t*, const cudaGraphEdgeData*, size_t) { return cudaSuccess; }
cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void* data, cudaHostFn_t destroy, unsigned, unsigned) {
    fake::objects.push_back({nullptr, destroy, data});
    return *object = reinterpret_cast<cudaUserObject_t>(fake::objects.size()), cudaSuccess;
}
cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned, unsigned) {
    fake::objects[reinterpret_cast<std::size_t>(object) - 1].graph = graph;
    return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long, cudaDriverEntryPointQueryResult* result) {
    const std::map<std::string, void*> known = {
        {"cuCtxGetCurrent", reinterpret_cast<void*>(&get_current)},
        {"cuCtxGetId", reinterpret_cast<void*>(&get_id)},
        {"cuStreamGetCtx", reinterpret_cast<void*>(&stream_context)},
        {"cuCtxPushCurrent", reinterpret_cast<void*>(&push)},
        {"cuCtxPopCurrent", reinterpret_cast<void*>(&pop)},
        {"cuStreamIsCapturing", reinterpret_cast<void*>(&is_capturing)},
    };
    const auto found = known.find(name);
    const bool has = found != known.end() && state.has_driver;
    *function = has ? found->second : nullptr;
    *result = has ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

// What nvcc's host code calls to make its kernels known.
void** __cudaRegisterFatBinary(void*) { static void* handle = nullptr; return &handle; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char*, char*, const char*, int, void*, void*, void*, void*, int*) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
char __cudaInitModule(void**) { return 1; }
unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, void*) { return 0; }
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) { return cudaSuccess; }
cudaError_t __cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
    return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}
cudaError_t __cudaGetKernel(void**, const void*) { return cudaSuccess; }

}  // extern "C"
