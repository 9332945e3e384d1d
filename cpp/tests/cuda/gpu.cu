// Device tests that need a GPU: each subcommand logs something, `check_cuda.py` reads what was logged.
#include <chrono>
#include <thread>

#include "common.cuh"
#include "ends.cuh"

namespace {

using orch_log::Event;
using orch_log::Shape;
using orch_log::Strides;
using orch_log::Type;

/// Every element type at many sizes and addresses, by the device and, from a copy, by the host.
int types() {
    const std::size_t counts[] = {0, 1, 15, 16, 17, 255, 256, 257, 896, 4096, 5000, 65536, 70001, 151936, 1500000};
    constexpr std::size_t most_bytes = 1500000 * 8 + 64;
    std::vector<unsigned char> host(most_bytes);
    unsigned char* device = nullptr;
    MUST(cudaMalloc(&device, most_bytes));
    Random random(7);
    int cases = 0;
    for (int t = 1; t <= static_cast<int>(orch_log::last_type); ++t) {
        const Type type = static_cast<Type>(t);
        for (std::size_t count : counts) {
            for (std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{6}}) {
                if (shift != 0 && count > 5000) continue;
                const std::size_t nbytes = count * orch_log::size_bytes(type);
                for (std::size_t i = 0; i < nbytes; ++i) host[shift + i] = static_cast<unsigned char>(random.next() >> 33);
                if (type == Type::boolean) {
                    for (std::size_t i = 0; i < nbytes; ++i) host[shift + i] &= 1;
                }
                // Random bits of an f32 are mostly huge or tiny; half of the cases get ordinary magnitudes.
                if (cases % 2 == 0 && type == Type::f32) {
                    for (std::size_t i = 0; i < count; ++i) {
                        const float value = static_cast<float>(static_cast<double>(random.next() >> 11) / 4503599627370496.0 - 1.0);
                        std::memcpy(&host[shift + 4 * i], &value, 4);
                    }
                }
                MUST(cudaMemcpy(device + shift, host.data() + shift, nbytes, cudaMemcpyHostToDevice));
                const std::string dtype(orch_log::dtype_name(type));
                const auto log_host = orch_log::detail::make_view(host.data() + shift, type, Shape{count}, nullptr);
                (void)orch_log::global()->log_raw(Event("host", cases).dtype(dtype), log_host);
                ORCH_LOG_CUDA("device", static_cast<void*>(device + shift), count, dtype, Shape{count}, cases, nullptr);
                MUST(cudaDeviceSynchronize());
                ++cases;
            }
        }
    }
    ORCH_LOG_CUDA_FLUSH();
    std::printf("%d cases\n", cases);
    return 0;
}

/// Transposed, reversed, broadcast and gapped views.
int strides() {
    constexpr std::size_t rows = 37;
    constexpr std::size_t columns = 53;
    std::vector<float> host(rows * columns * 4);
    Random random(11);
    for (float& x : host) x = static_cast<float>(static_cast<std::int64_t>(random.next() >> 40)) / 1000.0f;
    float* device = nullptr;
    MUST(cudaMalloc(&device, host.size() * 4));
    MUST(cudaMemcpy(device, host.data(), host.size() * 4, cudaMemcpyHostToDevice));
    struct Case {
        std::ptrdiff_t offset;
        Shape shape;
        Strides strides;
    };
    const std::ptrdiff_t c = columns;
    const Case cases[] = {
        {0, {rows, columns}, {c, 1}},           {0, {columns, rows}, {1, c}},        {(rows - 1) * c, {rows, columns}, {-c, 1}},
        {0, {rows, columns}, {0, 1}},           {0, {rows, columns}, {2 * c, 2}},    {5, {2, 3, 4, 5}, {400, 90, 7, 2}},
        {0, {4, rows, columns}, {rows * c, 1, rows}},
    };
    int number = 0;
    for (const Case& one : cases) {
        (void)orch_log::log(Event("host", number), orch_log::TensorView<float>(host.data() + one.offset, one.shape, one.strides));
        ORCH_LOG_CUDA_EVENT(Event("device", number), orch_log::TensorView<float>(device + one.offset, one.shape, one.strides), number, nullptr);
        ++number;
    }
    ORCH_LOG_CUDA_STEP(nullptr);
    ORCH_LOG_CUDA_FLUSH();
    std::printf("%d views\n", number);
    return 0;
}

/// Elements without gaps at any address, whose shape, as the engine says it, does not fit them.
int odd_shapes() {
    constexpr std::size_t count = 5000;
    std::vector<unsigned char> host(count * 4 + 8);
    Random random(13);
    for (unsigned char& byte : host) byte = static_cast<unsigned char>(random.next() >> 35);
    unsigned char* device = nullptr;
    MUST(cudaMalloc(&device, host.size()));
    MUST(cudaMemcpy(device, host.data(), host.size(), cudaMemcpyHostToDevice));
    int cases = 0;
    for (const Shape& shape : {Shape{7}, Shape{3, 11}, Shape{}, Shape{count, 2}}) {
        for (std::size_t shift : {std::size_t{0}, std::size_t{1}}) {
            const auto on_host = orch_log::detail::make_view(host.data() + shift, Type::i32, Shape{count}, nullptr);
            (void)orch_log::global()->log_raw(Event("host", cases).dtype("i32").shape(shape), on_host);
            ORCH_LOG_CUDA("device", static_cast<void*>(device + shift), count, "i32", shape, cases, nullptr);
            ++cases;
        }
    }
    ORCH_LOG_CUDA_FLUSH();
    std::printf("%d shapes\n", cases);
    return 0;
}

/// A captured step of 289 checkpoints that reuses one buffer, replayed `replays` times, `pause_ms` after each.
int replay(int replays, int pause_ms) {
    constexpr int checkpoints = 289;
    constexpr int n = 896;
    // One buffer for all, as engines do; `side` is for those that do not.
    const char* mode = std::getenv("ORCH_LOG_CUDA_MODE");
    const int buffers = mode != nullptr && std::string(mode) == "side" ? checkpoints : 1;
    float* memory = nullptr;
    int* position = nullptr;
    MUST(cudaMalloc(&memory, static_cast<std::size_t>(buffers) * n * 4));
    MUST(cudaMalloc(&position, 4));
    MUST(cudaMemset(position, 0, 4));
    cudaStream_t stream;
    MUST(cudaStreamCreate(&stream));
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < checkpoints; ++i) {
        float* buffer = memory + i % buffers * n;
        engine_kernel<<<(n + 255) / 256, 256, 0, stream>>>(buffer, n, position, i);
        ORCH_LOG_CUDA("checkpoint_" + std::to_string(i), buffer, n, "f32", "[896]", position, stream);
    }
    ORCH_LOG_CUDA_STEP(stream);
    advance<<<1, 1, 0, stream>>>(position);
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < replays; ++i) {
        MUST(cudaGraphLaunch(executable, stream));
        if (pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    ORCH_LOG_CUDA_FLUSH();
    const orch_log::Health health = orch_log::status();
    std::printf("%d records expected, %llu written, %llu dropped, %llu payloads dropped\n", checkpoints * replays,
                static_cast<unsigned long long>(health.written), static_cast<unsigned long long>(health.dropped),
                static_cast<unsigned long long>(health.payloads_dropped));
    return 0;
}

/// A step whose output is printed as a hash: with and without logging, eager and captured, it must be the same.
int engine(bool in_graph, int steps) {
    constexpr int layers = 40;
    constexpr int n = 4864;
    float* a = nullptr;
    float* b = nullptr;
    MUST(cudaMalloc(&a, n * 4));
    MUST(cudaMalloc(&b, n * 4));
    std::vector<float> start(n);
    for (int i = 0; i < n; ++i) start[static_cast<std::size_t>(i)] = static_cast<float>((i * 37) % 101) / 101.0f;
    MUST(cudaMemcpy(a, start.data(), n * 4, cudaMemcpyHostToDevice));
    cudaStream_t stream;
    MUST(cudaStreamCreate(&stream));
    const auto step = [&](int at) {
        for (int layer = 0; layer < layers; ++layer) {
            mix<<<(n + 255) / 256, 256, 0, stream>>>(a, b, n, layer);
            ORCH_LOG_CUDA("layer_" + std::to_string(layer) + "_output", b, n, "f32", "[4864]", at, stream);
            std::swap(a, b);
        }
        ORCH_LOG_CUDA_STEP(stream);
    };
    if (in_graph) {
        cudaGraph_t graph;
        cudaGraphExec_t executable;
        MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        step(0);
        MUST(cudaStreamEndCapture(stream, &graph));
        MUST(cudaGraphInstantiate(&executable, graph, 0));
        for (int i = 0; i < steps; ++i) MUST(cudaGraphLaunch(executable, stream));
    } else {
        for (int i = 0; i < steps; ++i) step(i);
    }
    MUST(cudaStreamSynchronize(stream));
    std::vector<unsigned> bits(n);
    MUST(cudaMemcpy(bits.data(), a, n * 4, cudaMemcpyDeviceToHost));
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned word : bits) hash = (hash ^ word) * 0x100000001b3u;
    std::printf("%016llx\n", static_cast<unsigned long long>(hash));
    if (cudaGetLastError() != cudaSuccess) return 1;
    return 0;
}

/// Four streams at once, and threads of the host beside each other; `per_thread`: the streams have one handle.
int streams(bool per_thread) {
    constexpr int n = 20000;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([t, per_thread] {
            float* buffer = nullptr;
            cudaStream_t stream = cudaStreamPerThread;
            MUST(cudaMalloc(&buffer, n * 4));
            if (!per_thread) MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
            std::vector<float> host(n, static_cast<float>(t + 1));
            MUST(cudaMemcpyAsync(buffer, host.data(), n * 4, cudaMemcpyHostToDevice, stream));
            for (int i = 0; i < 500; ++i) {
                ORCH_LOG_CUDA("stream_" + std::to_string(t), buffer, n, "f32", "[20000]", i, stream);
            }
            MUST(cudaStreamSynchronize(stream));
        });
    }
    for (std::thread& thread : threads) thread.join();
    ORCH_LOG_CUDA_FLUSH();
    return 0;
}

static __global__ void fill(unsigned char* data, std::size_t n) {
    for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < n; i += std::size_t{gridDim.x} * blockDim.x) {
        data[i] = static_cast<unsigned char>(i % 7);
    }
}

/// More elements than 32 bits count.
int huge() {
    const std::size_t n = (std::size_t{1} << 32) + 12345;
    unsigned char* data = nullptr;
    MUST(cudaMalloc(&data, n));
    fill<<<1024, 256>>>(data, n);
    ORCH_LOG_CUDA("huge", data, n, "u8", Shape{n}, 0, nullptr);
    // From the end, by the kernel for any strides.
    ORCH_LOG_CUDA_EVENT(Event("huge", 0), (orch_log::TensorView<unsigned char>(data + n - 1, Shape{n}, Strides{-1})), 1, nullptr);
    ORCH_LOG_CUDA_FLUSH();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // Whoever of them has passes ends them: each record says its step.
    ORCH_LOG_CUDA_COUNT_STEPS();
    const std::string command = argc > 1 ? argv[1] : "";
    const int number = argc > 2 ? std::atoi(argv[2]) : 0;
    // What only some loggers do: `run` skips its tests for the others.
    if (command == "supports") return std::printf("wait packed-payloads ends odd-shapes\n"), 0;
    if (command == "types") return types();
    if (command == "strides") return strides();
    if (command == "replay") return replay(number, argc > 3 ? std::atoi(argv[3]) : 0);
    if (command == "engine") return engine(false, number);
    if (command == "engine-graph") return engine(true, number);
    if (command == "streams") return streams(false);
    if (command == "streams-per-thread") return streams(true);
    if (command == "huge") return huge();
    if (command == "odd-shapes") return odd_shapes();
    if (command == "crashed") return ends::crashed();
    if (command == "crashed-and-reset") return ends::crashed_and_reset();
    if (command == "crashed-graph") return ends::crashed_after_replays(number);
    if (command == "no-flush") return ends::no_flush();
    if (command == "exit") return ends::exit_in_flight(number);
    if (command == "reset") return ends::reset(number);
    if (command == "reset-in-flight") return ends::reset_in_flight(number);
    if (command == "recapture") return ends::recapture(number);
    if (command == "contexts") return ends::contexts(number);
    if (command == "devices") return ends::devices(number);
    if (command == "host-memory") return ends::host_memory();
    std::fprintf(stderr, "usage: gpu types|strides|odd-shapes|replay N|engine N|engine-graph N|streams|streams-per-thread|huge|crashed|crashed-and-reset|crashed-graph N|no-flush|exit N|reset N|"
                         "reset-in-flight N|recapture N|contexts N|devices N|host-memory\n");
    return 2;
}
