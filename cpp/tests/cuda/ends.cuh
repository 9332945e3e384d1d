// Programs that end, and devices that are reset, crash or are captured over and over, while something is logged.
#ifndef ORCH_LOG_TESTS_CUDA_ENDS_CUH
#define ORCH_LOG_TESTS_CUDA_ENDS_CUH

#include "common.cuh"

namespace ends {

constexpr int n = 1024;

static __global__ void fill_with(float* data, float value) { data[blockIdx.x * blockDim.x + threadIdx.x] = value; }
static __global__ void crash() { asm("trap;"); }

inline float* zeros() {
    float* buffer = nullptr;
    MUST(cudaMalloc(&buffer, n * 4));
    MUST(cudaMemset(buffer, 0, n * 4));
    return buffer;
}

/// Logs positions from `from` up to `to`, not included, each a tensor full of its position.
inline void log_positions(const char* name, float* buffer, int from, int to, cudaStream_t stream = nullptr) {
    for (int i = from; i < to; ++i) {
        fill_with<<<n / 256, 256, 0, stream>>>(buffer, static_cast<float>(i));
        ORCH_LOG_CUDA(name, buffer, n, "f32", "[1024]", i, stream);
        if (i % 100 == 99) ORCH_LOG_CUDA_STEP(stream);
    }
}

/// What was logged before a kernel crashed must be in the trace, although nothing flushes it.
inline int crashed() {
    float* buffer = zeros();
    for (int i = 0; i < 100; ++i) ORCH_LOG_CUDA("before_the_crash", buffer, n, "f32", "[1024]", i, nullptr);
    MUST(cudaDeviceSynchronize());
    crash<<<1, 1>>>();
    ORCH_LOG_CUDA("after_the_crash", buffer, n, "f32", "[1024]", 0, nullptr);
    std::printf("%s\n", cudaGetErrorString(cudaDeviceSynchronize()));
    return 0;
}

/// Resets the device after the crash and goes on, where CUDA lets a process do that.
inline int crashed_and_reset() {
    float* buffer = zeros();
    for (int i = 0; i < 100; ++i) ORCH_LOG_CUDA("before_the_crash", buffer, n, "f32", "[1024]", i, nullptr);
    MUST(cudaDeviceSynchronize());
    crash<<<1, 1>>>();
    (void)cudaDeviceSynchronize();
    for (int i = 0; i < 3; ++i) ORCH_LOG_CUDA("after_the_crash", buffer, n, "f32", "[1024]", i, nullptr);
    (void)cudaDeviceReset();
    if (cudaMalloc(&buffer, n * 4) != cudaSuccess) return std::printf("no reset ends a crash here\n"), 0;
    MUST(cudaMemset(buffer, 0, n * 4));
    for (int i = 0; i < 100; ++i) ORCH_LOG_CUDA("after_the_reset", buffer, n, "f32", "[1024]", i, nullptr);
    MUST(cudaDeviceSynchronize());
    return 0;
}

/// The same after replays of a graph, `full` or not.
inline int crashed_after_replays(int replays) {
    float* buffer = zeros();
    int* position = nullptr;
    MUST(cudaMalloc(&position, 4));
    MUST(cudaMemset(position, 0, 4));
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    MUST(cudaStreamCreate(&stream));
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    ORCH_LOG_CUDA("before_the_crash", buffer, n, "f32", "[1024]", position, stream);
    ORCH_LOG_CUDA_STEP(stream);
    advance<<<1, 1, 0, stream>>>(position);
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < replays; ++i) MUST(cudaGraphLaunch(executable, stream));
    MUST(cudaStreamSynchronize(stream));
    crash<<<1, 1, 0, stream>>>();
    std::printf("%s\n", cudaGetErrorString(cudaDeviceSynchronize()));
    // The device stays broken until it is reset; then it logs again.
    (void)cudaGraphLaunch(executable, stream);
    return 0;
}

/// Exits without a flush while the device has long finished.
inline int no_flush() {
    float* buffer = zeros();
    for (int i = 0; i < 1000; ++i) ORCH_LOG_CUDA("unflushed", buffer, n, "f32", "[1024]", i, nullptr);
    MUST(cudaDeviceSynchronize());
    return 0;
}

/// Ends in the middle of its work: what has not come by then is counted.
inline int exit_in_flight(int count) {
    float* buffer = zeros();
    log_positions("in_flight", buffer, 0, count);
    std::exit(0);
}

/// Resets the device again and again while the logger's thread reads; all had arrived.
inline int reset(int count) {
    for (int round = 0; round < 4; ++round) {
        float* buffer = zeros();
        log_positions("reset", buffer, count / 4 * round, count / 4 * (round + 1));
        MUST(cudaDeviceSynchronize());
        MUST(cudaDeviceReset());
    }
    ORCH_LOG_CUDA_FLUSH();
    return 0;
}

/// Resets it while the device has work left, then goes on.
inline int reset_in_flight(int count) {
    for (int round = 0; round < 4; ++round) {
        float* buffer = zeros();
        log_positions("in_flight", buffer, count / 4 * round, count / 4 * (round + 1));
        MUST(cudaDeviceReset());
    }
    return 0;
}

/// An engine that captures a graph for each pass and throws it away.
inline int recapture(int count) {
    float* buffer = zeros();
    cudaStream_t stream;
    MUST(cudaStreamCreate(&stream));
    for (int i = 0; i < count; ++i) {
        cudaGraph_t graph;
        cudaGraphExec_t executable;
        MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        log_positions("recaptured", buffer, i, i + 1, stream);
        ORCH_LOG_CUDA_STEP(stream);
        MUST(cudaStreamEndCapture(stream, &graph));
        MUST(cudaGraphInstantiate(&executable, graph, 0));
        MUST(cudaGraphLaunch(executable, stream));
        MUST(cudaStreamSynchronize(stream));
        MUST(cudaGraphExecDestroy(executable));
        MUST(cudaGraphDestroy(graph));
    }
    ORCH_LOG_CUDA_FLUSH();
    return 0;
}

/// Contexts that the engine made itself, through the driver; none of them is current where it logs, and one is destroyed.
inline int contexts(int count) {
    struct Driver {
        int (*create)(CUctx_st**, unsigned, int) = nullptr;
        int (*destroy)(CUctx_st*) = nullptr;
        int (*set_current)(CUctx_st*) = nullptr;
    } driver;
    const auto find = [](const char* name, auto& function) {
        void* found = nullptr;
#if CUDART_VERSION >= 12050
        MUST(cudaGetDriverEntryPointByVersion(name, &found, 11000, cudaEnableDefault, nullptr));
#else
        MUST(cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, nullptr));
#endif
        function = reinterpret_cast<std::decay_t<decltype(function)>>(found);
    };
    MUST(cudaFree(nullptr));
    find("cuCtxCreate", driver.create);
    find("cuCtxDestroy", driver.destroy);
    find("cuCtxSetCurrent", driver.set_current);
    struct One {
        CUctx_st* context = nullptr;
        cudaStream_t stream = nullptr;
        float* buffer = nullptr;
    } all[2];
    const auto make = [&](One& one) {
        if (driver.create(&one.context, 0, 0) != 0) std::exit(1);
        one.buffer = zeros();
        MUST(cudaStreamCreate(&one.stream));
    };
    for (One& one : all) make(one);
    for (int round = 0; round < 2; ++round) {
        for (int which = 0; which < 2; ++which) {
            if (driver.set_current(all[which].context) != 0) return 1;
            fill_with<<<n / 256, 256, 0, all[which].stream>>>(all[which].buffer, 1.0f);
            MUST(cudaDeviceSynchronize());
            if (driver.set_current(all[1 - which].context) != 0) return 1;
            for (int i = 0; i < count / 2; ++i) {
                ORCH_LOG_CUDA(which == 0 ? "first" : "second", all[which].buffer, n, "f32", "[1024]", count / 2 * round + i, all[which].stream);
            }
        }
        ORCH_LOG_CUDA_FLUSH();
        if (driver.set_current(all[0].context) != 0 || driver.destroy(all[1].context) != 0) return 1;
        if (round == 0) make(all[1]);
    }
    return cudaGetLastError() == cudaSuccess ? 0 : 1;
}

/// Streams of several devices, none of which is the current one.
inline int devices(int count) {
    int present = 0;
    MUST(cudaGetDeviceCount(&present));
    if (present < 2) return 1;
    cudaStream_t streams[2];
    float* buffers[2];
    for (int device = 0; device < 2; ++device) {
        MUST(cudaSetDevice(device));
        MUST(cudaStreamCreate(&streams[device]));
        buffers[device] = zeros();
        MUST(cudaDeviceSynchronize());
    }
    for (int i = 0; i < count; ++i) {
        for (int device = 0; device < 2; ++device) {
            MUST(cudaSetDevice(1 - device));
            ORCH_LOG_CUDA(device == 0 ? "first" : "second", buffers[device], n, "f32", "[1024]", i, streams[device]);
        }
    }
    ORCH_LOG_CUDA_FLUSH();
    return 0;
}

/// Host memory where device memory should be: refused, and the engine's context lives on.
inline int host_memory() {
    float* buffer = zeros();
    std::vector<float> on_host(n);
    int position = 3;
    ORCH_LOG_CUDA("host", on_host.data(), n, "f32", "[1024]", 0, nullptr);
    ORCH_LOG_CUDA("host", buffer, n, "f32", "[1024]", &position, nullptr);
    for (int i = 0; i < 10; ++i) ORCH_LOG_CUDA("device", buffer, n, "f32", "[1024]", i, nullptr);
    MUST(cudaDeviceSynchronize());
    int reads_host = 0;
    MUST(cudaDeviceGetAttribute(&reads_host, cudaDevAttrPageableMemoryAccess, 0));
    return orch_log::status().dropped == (reads_host != 0 ? 0 : 2) ? 0 : 1;
}

}  // namespace ends

#endif
