// What logging from the device costs: a step of 289 checkpoints in a graph and eagerly, beside the copy that
// everybody writes first, and the speed of the one-pass summary beside that of a copy.
#include <algorithm>
#include <chrono>

#include "common.cuh"

namespace {

constexpr int checkpoints = 289;
constexpr int n = 4864;

double now_us() {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    return samples[samples.size() / 2];
}

/// What happens after each kernel of the engine.
enum class After { nothing, log, copy_and_synchronise };

struct Engine {
    float* a = nullptr;
    float* b = nullptr;
    float* host = nullptr;
    cudaStream_t stream = nullptr;

    Engine() {
        MUST(cudaMalloc(&a, n * 4));
        MUST(cudaMalloc(&b, n * 4));
        MUST(cudaMallocHost(&host, n * 4));
        MUST(cudaMemset(a, 0, n * 4));
        MUST(cudaStreamCreate(&stream));
    }

    void step(After after, int at) {
        for (int i = 0; i < checkpoints; ++i) {
            mix<<<(n + 255) / 256, 256, 0, stream>>>(a, b, n, i);
            std::swap(a, b);
            if (after == After::log) ORCH_LOG_CUDA(names()[static_cast<std::size_t>(i)], a, n, "f32", "[4864]", at, stream);
            if (after == After::copy_and_synchronise) {
                MUST(cudaMemcpyAsync(host, a, n * 4, cudaMemcpyDeviceToHost, stream));
                MUST(cudaStreamSynchronize(stream));
            }
        }
        if (after == After::log) ORCH_LOG_CUDA_STEP(stream);
    }

    static const std::vector<std::string>& names() {
        static const std::vector<std::string> all = [] {
            std::vector<std::string> made;
            for (int i = 0; i < checkpoints; ++i) made.push_back("checkpoint_" + std::to_string(i));
            return made;
        }();
        return all;
    }
};

/// Median microseconds of a step from its launch to its end. Between two steps the poller gets time to empty the ring, as it
/// has in an engine that samples a token.
template <class Step>
double time_steps(cudaStream_t stream, Step step) {
    std::vector<double> samples;
    for (int i = 0; i < 60; ++i) {
        const double start = now_us();
        step(i);
        MUST(cudaStreamSynchronize(stream));
        if (i >= 10) samples.push_back(now_us() - start);
    }
    return median(samples);
}

double in_graph(After after) {
    Engine engine;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    MUST(cudaStreamBeginCapture(engine.stream, cudaStreamCaptureModeGlobal));
    engine.step(after, 0);
    MUST(cudaStreamEndCapture(engine.stream, &graph));
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    return time_steps(engine.stream, [&](int) { MUST(cudaGraphLaunch(executable, engine.stream)); });
}

double eager(After after) {
    Engine engine;
    return time_steps(engine.stream, [&](int i) { engine.step(after, i); });
}

double milliseconds(cudaEvent_t from, cudaEvent_t to) {
    float elapsed = 0.0f;
    MUST(cudaEventElapsedTime(&elapsed, from, to));
    return static_cast<double>(elapsed);
}

void bandwidth(const char* dtype, std::size_t size) {
    const std::size_t nbytes = std::size_t{1} << 30;
    unsigned char* from = nullptr;
    unsigned char* to = nullptr;
    cudaEvent_t start, middle, end;
    MUST(cudaMalloc(&from, nbytes));
    MUST(cudaMalloc(&to, nbytes));
    MUST(cudaMemset(from, 0x3c, nbytes));
    MUST(cudaEventCreate(&start));
    MUST(cudaEventCreate(&middle));
    MUST(cudaEventCreate(&end));
    std::vector<double> copies, logs;
    for (int i = 0; i < 12; ++i) {
        MUST(cudaEventRecord(start, nullptr));
        MUST(cudaMemcpyAsync(to, from, nbytes, cudaMemcpyDeviceToDevice, nullptr));
        MUST(cudaEventRecord(middle, nullptr));
        ORCH_LOG_CUDA("bandwidth", static_cast<void*>(from), nbytes / size, dtype, "[]", i, nullptr);
        MUST(cudaEventRecord(end, nullptr));
        MUST(cudaDeviceSynchronize());
        if (i < 2) continue;
        copies.push_back(milliseconds(start, middle));
        logs.push_back(milliseconds(middle, end));
    }
    const double gigabytes = static_cast<double>(nbytes) / 1e9;
    std::printf("%-8s summary %7.0f GB/s   copy (read and write) %7.0f GB/s   %3.0f %%\n", dtype, gigabytes / median(logs) * 1e3,
                2 * gigabytes / median(copies) * 1e3, 100 * median(copies) / 2 / median(logs));
    MUST(cudaFree(from));
    MUST(cudaFree(to));
}

}  // namespace

int main(int argc, char** argv) {
    // Whoever of them has passes ends them: each record says its step.
    ORCH_LOG_CUDA_COUNT_STEPS();
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "graph" || command == "eager") {
        const double base = command == "graph" ? in_graph(After::nothing) : eager(After::nothing);
        const double logged = command == "graph" ? in_graph(After::log) : eager(After::log);
        std::printf("step %8.0f us, with logging %8.0f us: %+6.2f us a checkpoint\n", base, logged, (logged - base) / checkpoints);
        ORCH_LOG_CUDA_FLUSH();
        const orch_log::Health health = orch_log::status();
        const double waited = static_cast<double>(orch_log::cuda::waited_ns()) / 1e3 / 60;
        if (!health.complete() || waited > 0) {
            std::printf("    lost %llu records, %llu payloads; waited %.0f us a step\n", static_cast<unsigned long long>(health.dropped),
                        static_cast<unsigned long long>(health.payloads_dropped), waited);
        }
        return 0;
    }
    if (command == "naive") {
        const double base = eager(After::nothing);
        const double copied = eager(After::copy_and_synchronise);
        std::printf("step %8.0f us, copy and synchronise %5.0f us: %+6.2f us a checkpoint\n", base, copied, (copied - base) / checkpoints);
        return 0;
    }
    if (command == "bandwidth") {
        bandwidth("f32", 4);
        bandwidth("f16", 2);
        bandwidth("bf16", 2);
        bandwidth("f8_e4m3", 1);
        return 0;
    }
    std::fprintf(stderr, "usage: bench graph|eager|naive|bandwidth\n");
    return 2;
}
