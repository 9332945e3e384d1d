// A llama or qwen2 decoder on cuBLAS, as a person writes it who ports a model; logged with ORCH_LOG_CUDA.
#ifndef ENGINE_CUH
#define ENGINE_CUH

#include <cublas_v2.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gguf.hpp"
#include "kernels.cuh"
#include "orch_log_cuda.cuh"

#define MUST(call)                                                                                    \
    do {                                                                                              \
        const int must_status = static_cast<int>(call);                                               \
        if (must_status != 0) {                                                                       \
            std::fprintf(stderr, "%s:%d: %s failed: %d\n", __FILE__, __LINE__, #call, must_status);   \
            std::exit(1);                                                                             \
        }                                                                                             \
    } while (0)

/// What is wrong with the engine: a name of `mistakes`, or nothing.
struct Mistake {
    std::string name;
    int layer = 0;
    bool is(const char* other, int at) const { return name == other && layer == at; }
};

struct Known {
    const char* name;
    const char* what;
};
constexpr Known mistakes[] = {
    {"op-n", "Q: CUBLAS_OP_N where the matrix, square, has to be transposed"},
    {"op-n-lda", "up projection: CUBLAS_OP_N, and the leading dimension that makes cuBLAS take it"},
    {"lda", "up projection: the leading dimension is the number of rows"},
    {"ldb", "Q: rows of a batch are taken to be as far apart as those of the feed-forward part"},
    {"short-k", "attention's output: the inner dimension is 8 too small"},
    {"beta", "down projection: beta is 1, what lay in the buffer is added"},
    {"tf32", "all products in TF32"},
    {"cache-row", "keys are kept one position too early"},
    {"tiled-heads", "query heads read the key heads in turn instead of in groups"},
    {"rope-pairs", "lanes are paired as the other architecture pairs them"},
    {"scale", "scores are divided by the root of the embedding's length instead of a head's"},
    {"no-reduce", "with two ranks: one does not get the other's share of attention's output"},
};

/// Sizes of the model, and a rank's share of them.
struct Sizes {
    int layers, width, heads, kv_heads, dim, ffn, vocabulary, context;
    float eps, base;
    bool halves;  ///< Rotation pairs lanes half a head apart.

    explicit Sizes(const Gguf& file) {
        const std::string architecture = file.text("general.architecture");
        if (architecture != "llama" && architecture != "qwen2") throw std::runtime_error("llama and qwen2 only, not " + architecture);
        const auto number = [&](const char* key) { return static_cast<int>(file.number(architecture + "." + key)); };
        layers = number("block_count");
        width = number("embedding_length");
        heads = number("attention.head_count");
        kv_heads = number("attention.head_count_kv");
        dim = static_cast<int>(file.number_or(architecture + ".attention.key_length", width / heads));
        ffn = number("feed_forward_length");
        vocabulary = static_cast<int>(file.get("token_embd.weight").rows);
        context = 1024;
        eps = static_cast<float>(file.number(architecture + ".attention.layer_norm_rms_epsilon"));
        base = static_cast<float>(file.number_or(architecture + ".rope.freq_base", 10000.0));
        halves = architecture == "qwen2";
    }
};

/// A matrix on the device, row-major [rows, columns].
struct Weight {
    float* data = nullptr;
    int rows = 0;
    int columns = 0;
};

struct Layer {
    Weight attn_norm, q, k, v, q_bias, k_bias, v_bias, attn_output, ffn_norm, gate, up, down;
    float* keys = nullptr;
    float* values = nullptr;
};

/// One of the devices that share the model: heads and feed-forward lanes are split, everything else is everywhere.
class Rank {
public:
    Rank(const Gguf& file, const Sizes& whole, int index, int world, int most_tokens) : sizes(whole), index(index), world(world) {
        int devices = 0;
        MUST(cudaGetDeviceCount(&devices));
        if (devices == 0) throw std::runtime_error("no GPU");
        if (whole.kv_heads % world != 0 || whole.ffn % world != 0) throw std::runtime_error("the heads do not go into as many ranks");
        device = index % devices;
        select();
        MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        MUST(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming));
        MUST(cublasCreate(&blas));
        MUST(cublasSetStream(blas, stream));
        MUST(cublasSetWorkspace(blas, allocate<char>(32u << 20), 32u << 20));  // one of its own cannot be captured
        sizes.heads /= world;
        sizes.kv_heads /= world;
        sizes.ffn /= world;
        load(file);
        const auto rows = static_cast<std::size_t>(most_tokens);
        const auto widest = static_cast<std::size_t>(std::max({whole.width, whole.ffn, whole.heads * whole.dim}));
        for (float** buffer : {&x, &norm, &q, &k, &v, &turned, &attended, &partial, &out, &gate, &up, &act}) *buffer = allocate<float>(rows * widest);
        for (int other = 0; other < world; ++other) shares.push_back(allocate<float>(rows * widest));
        scores = allocate<float>(rows * static_cast<std::size_t>(sizes.heads * sizes.context));
        probs = allocate<float>(rows * static_cast<std::size_t>(sizes.heads * sizes.context));
        logits = allocate<float>(rows * static_cast<std::size_t>(sizes.vocabulary));
        ids = allocate<int>(rows);
        position = allocate<int>(1);
        MUST(cudaDeviceSynchronize());
    }
    Rank(const Rank&) = delete;
    Rank& operator=(const Rank&) = delete;

    void select() const { MUST(cudaSetDevice(device)); }
    template <class T>
    T* allocate(std::size_t count) const {
        void* memory = nullptr;
        MUST(cudaMalloc(&memory, count * sizeof(T)));
        MUST(cudaMemset(memory, 0, count * sizeof(T)));
        return static_cast<T*>(memory);
    }

    Sizes sizes;  ///< This rank's share of heads and feed-forward lanes.
    int index, world, device;
    cudaStream_t stream = nullptr;
    cudaEvent_t ready = nullptr;
    cublasHandle_t blas = nullptr;
    Weight embedding, final_norm, output;
    std::vector<Layer> layers;
    float *x, *norm, *q, *k, *v, *turned, *attended, *partial, *out, *gate, *up, *act, *scores, *probs, *logits;
    std::vector<float*> shares;  ///< What the ranks have to add up, copied here.
    int *ids, *position;

private:
    enum class Cut { none, rows, columns };

    Weight upload(const Matrix& matrix, Cut cut) {
        const auto parts = static_cast<std::size_t>(cut == Cut::none ? 1 : world);
        const auto part = static_cast<std::size_t>(cut == Cut::none ? 0 : index);
        // A bias is cut as the rows of its matrix are.
        const bool rows = cut == Cut::rows && matrix.rows > 1;
        const std::size_t height = rows ? matrix.rows / parts : matrix.rows;
        const std::size_t width = rows || cut == Cut::none ? matrix.columns : matrix.columns / parts;
        const float* from = matrix.data + (rows ? part * height * matrix.columns : part * width);
        float* to = arena + used;
        used += (height * width + 63) / 64 * 64;
        MUST(cudaMemcpy2D(to, width * 4, from, matrix.columns * 4, width * 4, height, cudaMemcpyHostToDevice));
        return {to, static_cast<int>(height), static_cast<int>(width)};
    }

    void load(const Gguf& file) {
        // One piece of memory for all weights, as a loader that maps the file has; zeros behind it.
        const auto width = static_cast<std::size_t>(sizes.width);
        const std::size_t layer = width * static_cast<std::size_t>((sizes.heads * 2 + sizes.kv_heads * 2) * sizes.dim + 3 * sizes.ffn + 8);
        const std::size_t table = width * static_cast<std::size_t>(sizes.vocabulary);
        arena = allocate<float>(2 * table + static_cast<std::size_t>(sizes.layers) * layer + width * static_cast<std::size_t>(sizes.ffn * world) * 4 + (1u << 20));
        embedding = upload(file.get("token_embd.weight"), Cut::none);
        for (int i = 0; i < sizes.layers; ++i) {
            const std::string name = "blk." + std::to_string(i) + ".";
            const auto optional = [&](const char* bias) {
                const Matrix matrix = file.find(name + bias);
                return matrix.data == nullptr ? Weight() : upload(matrix, Cut::rows);
            };
            Layer made;
            made.attn_norm = upload(file.get(name + "attn_norm.weight"), Cut::none);
            made.q = upload(file.get(name + "attn_q.weight"), Cut::rows);
            made.k = upload(file.get(name + "attn_k.weight"), Cut::rows);
            made.v = upload(file.get(name + "attn_v.weight"), Cut::rows);
            made.q_bias = optional("attn_q.bias");
            made.k_bias = optional("attn_k.bias");
            made.v_bias = optional("attn_v.bias");
            made.attn_output = upload(file.get(name + "attn_output.weight"), Cut::columns);
            made.ffn_norm = upload(file.get(name + "ffn_norm.weight"), Cut::none);
            made.gate = upload(file.get(name + "ffn_gate.weight"), Cut::rows);
            made.up = upload(file.get(name + "ffn_up.weight"), Cut::rows);
            made.down = upload(file.get(name + "ffn_down.weight"), Cut::columns);
            const auto cache = static_cast<std::size_t>(sizes.context * sizes.kv_heads * sizes.dim);
            made.keys = allocate<float>(cache);
            made.values = allocate<float>(cache);
            layers.push_back(made);
        }
        final_norm = upload(file.get("output_norm.weight"), Cut::none);
        const Matrix output_matrix = file.find("output.weight");
        output = output_matrix.data == nullptr ? embedding : upload(output_matrix, Cut::none);
    }

    float* arena = nullptr;
    std::size_t used = 0;
};

#endif
