// Runs a GGUF model in 32-bit floats over given tokens: the prompt in one pass, then one token a pass.
//
//     decode MODEL.gguf --tokens 1,2,3,4 --prompt 3 [--graph] [--ranks N] [--mistake NAME] [--layer L]
//
// With ORCH_LOG_FILE every checkpoint of the forward pass goes into a trace. `run` beside this file compares it.
#include <algorithm>
#include <memory>
#include <sstream>
#include <string_view>

#include "engine.cuh"

namespace {

using orch_log::Event;
using orch_log::Shape;

class Engine {
public:
    Engine(const Gguf& file, int world, int most_tokens, Mistake mistake) : mistake_(std::move(mistake)) {
        const Sizes whole(file);
        whole_ = std::make_unique<Sizes>(whole);
        for (int i = 0; i < world; ++i) ranks_.push_back(std::make_unique<Rank>(file, whole, i, world, most_tokens));
    }

    Rank& first() { return *ranks_[0]; }
    int layers() const { return whole_->layers; }
    /// `cuda:0`, or `cuda:0,cuda:1` where the ranks are on several.
    std::string devices() const {
        std::string names;
        for (const auto& rank : ranks_) {
            const std::string name = "cuda:" + std::to_string(rank->device);
            if (names.find(name) == std::string::npos) names += (names.empty() ? "" : ",") + name;
        }
        return names;
    }

    void feed(const int* ids, int tokens) {
        for (auto& rank : ranks_) {
            rank->select();
            MUST(cudaMemcpyAsync(rank->ids, ids, static_cast<std::size_t>(tokens) * 4, cudaMemcpyHostToDevice, rank->stream));
        }
    }

    /// One forward pass over the tokens that were fed. `first` is the position of the first, -1 in a graph, which is replayed at others.
    void pass(int tokens, int first) {
        each([&](Rank& r) {
            log(r, "tokens", r.ids, tokens, {static_cast<std::size_t>(tokens)});
            take_rows<<<tokens, 256, 0, r.stream>>>(r.embedding.data, r.ids, r.x, r.sizes.width);
            log(r, "embedding", r.x, tokens, {T(tokens), T(r.sizes.width)});
        });
        for (int layer = 0; layer < whole_->layers; ++layer) block(layer, tokens, first);
        each([&](Rank& r) {
            rms_norm<<<tokens, 256, 0, r.stream>>>(r.x, r.final_norm.data, r.norm, r.sizes.width, r.sizes.eps);
            log(r, "final_norm", r.norm, tokens, {T(tokens), T(r.sizes.width)});
            linear(r, r.output, r.norm, r.logits, tokens, -1, "output");
            log(r, "logits", r.logits, tokens, {T(tokens), T(r.sizes.vocabulary)});
            ORCH_LOG_CUDA_STEP(r.stream);
            move_on<<<1, 1, 0, r.stream>>>(r.position, tokens);
        });
    }

    void wait() {
        each([](Rank& r) { MUST(cudaStreamSynchronize(r.stream)); });
    }

private:
    static std::size_t T(int n) { return static_cast<std::size_t>(n); }

    template <class Do>
    void each(Do what) {
        for (auto& rank : ranks_) {
            rank->select();
            what(*rank);
        }
    }

    /// Logs a tensor [tokens, …] of one rank. `is_split`: its second axis is shared between the ranks.
    template <class Element>
    void log(Rank& r, const std::string& name, const Element* data, int tokens, const Shape& shape, bool is_split = false) {
        Event event(name, 0);
        event.n_tokens(static_cast<std::uint64_t>(tokens));
        if (r.world > 1) {
            orch_log::Shard shard;
            shard.rank = static_cast<std::uint64_t>(r.index);
            shard.world = static_cast<std::uint64_t>(r.world);
            if (is_split) shard.axis = 1, shard.index = T(r.index), shard.count = T(r.world);
            event.shard(shard);
        }
        ORCH_LOG_CUDA_EVENT(event, (orch_log::TensorView<Element>(data, shape)), static_cast<const int*>(r.position), r.stream);
    }

    /// y[tokens, rows] = x[tokens, columns] · Wᵀ. cuBLAS reads by columns: to it W, row-major [rows, columns], is a matrix of
    /// `columns` rows and `rows` columns, `columns` elements apart, and y the product of its transpose with xᵀ.
    void linear(Rank& r, const Weight& w, const float* x, float* y, int tokens, int layer, std::string_view which) {
        cublasOperation_t operation = CUBLAS_OP_T;
        int inner = w.columns;
        int lda = w.columns;
        int ldb = w.columns;
        const float one = 1.0f;
        float beta = 0.0f;
        if (which == "q" && mistake_.is("op-n", layer)) operation = CUBLAS_OP_N;
        if (which == "up" && mistake_.is("op-n-lda", layer)) operation = CUBLAS_OP_N, lda = w.rows;
        if (which == "up" && mistake_.is("lda", layer)) lda = w.rows;
        if (which == "q" && mistake_.is("ldb", layer)) ldb = r.sizes.ffn * r.world;
        if (which == "attn_output" && mistake_.is("short-k", layer)) inner -= 8;
        if (which == "down" && mistake_.is("beta", layer)) beta = 1.0f;
        MUST(cublasSetMathMode(r.blas, mistake_.name == "tf32" ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
        MUST(cublasSgemm(r.blas, operation, CUBLAS_OP_N, w.rows, tokens, inner, &one, w.data, lda, x, ldb, &beta, y, w.rows));
    }

    void project(Rank& r, const Weight& w, const Weight& bias, float* y, int tokens, int layer, const char* which, int heads) {
        linear(r, w, r.norm, y, tokens, layer, which);
        if (bias.data != nullptr) add_row<<<tokens, 256, 0, r.stream>>>(y, bias.data, w.rows);
        log(r, prefix(layer) + which, y, tokens, {T(tokens), T(heads), T(r.sizes.dim)}, true);
    }

    /// Adds up what the ranks have in `partial`, in their order, into `out` of each: a copy from each of the others, and a sum.
    void reduce(int tokens, int layer, bool is_attention) {
        const int n = tokens * whole_->width;
        each([](Rank& r) { MUST(cudaEventRecord(r.ready, r.stream)); });
        each([&](Rank& r) {
            for (auto& other : ranks_) {
                MUST(cudaStreamWaitEvent(r.stream, other->ready, 0));
                float* to = r.shares[T(other->index)];
                if (other->device == r.device) MUST(cudaMemcpyAsync(to, other->partial, T(n) * 4, cudaMemcpyDeviceToDevice, r.stream));
                else MUST(cudaMemcpyPeerAsync(to, r.device, other->partial, other->device, T(n) * 4, r.stream));
            }
        });
        // Nobody writes its share anew before all have copied it.
        each([](Rank& r) { MUST(cudaEventRecord(r.ready, r.stream)); });
        each([&](Rank& r) {
            for (auto& other : ranks_) MUST(cudaStreamWaitEvent(r.stream, other->ready, 0));
            const bool forgets = is_attention && r.index == 1 && mistake_.is("no-reduce", layer);
            MUST(cudaMemcpyAsync(r.out, r.shares[T(forgets ? r.index : 0)], T(n) * 4, cudaMemcpyDeviceToDevice, r.stream));
            for (int other = 1; other < r.world && !forgets; ++other) add<<<(n + 255) / 256, 256, 0, r.stream>>>(r.out, r.shares[T(other)], r.out, n);
        });
    }

    void block(int layer, int tokens, int first) {
        const auto name = [&](const char* part) { return prefix(layer) + part; };
        each([&](Rank& r) {
            const Sizes& s = r.sizes;
            Layer& w = r.layers[T(layer)];
            rms_norm<<<tokens, 256, 0, r.stream>>>(r.x, w.attn_norm.data, r.norm, s.width, s.eps);
            log(r, name("attn_norm"), r.norm, tokens, {T(tokens), T(s.width)});
            project(r, w.q, w.q_bias, r.q, tokens, layer, "q", s.heads);
            project(r, w.k, w.k_bias, r.k, tokens, layer, "k", s.kv_heads);
            project(r, w.v, w.v_bias, r.v, tokens, layer, "v", s.kv_heads);
            const bool halves = s.halves != mistake_.is("rope-pairs", layer);
            rotate<<<tokens * s.heads, 64, 0, r.stream>>>(r.q, r.turned, r.position, s.heads, s.dim, s.base, halves);
            log(r, name("q_rope"), r.turned, tokens, {T(tokens), T(s.heads), T(s.dim)}, true);
            rotate<<<tokens * s.kv_heads, 64, 0, r.stream>>>(r.k, r.q, r.position, s.kv_heads, s.dim, s.base, halves);
            log(r, name("k_rope"), r.q, tokens, {T(tokens), T(s.kv_heads), T(s.dim)}, true);
            keep<<<tokens, 256, 0, r.stream>>>(r.q, w.keys, r.position, s.kv_heads * s.dim, mistake_.is("cache-row", layer) ? -1 : 0);
            keep<<<tokens, 256, 0, r.stream>>>(r.v, w.values, r.position, s.kv_heads * s.dim, 0);
            const int stride = first < 0 ? s.context : first + tokens;
            const int divisor = mistake_.is("scale", layer) ? s.width : s.dim;
            attend<<<tokens * s.heads, 256, 0, r.stream>>>(r.turned, w.keys, w.values, r.scores, r.probs, r.attended, r.position, tokens, stride, s.heads,
                                                           s.kv_heads, s.dim, 1.0f / std::sqrt(static_cast<float>(divisor)), mistake_.is("tiled-heads", layer));
            if (first >= 0) {  // in a graph the number of positions is not known
                log(r, name("attn_scores"), r.scores, tokens, {T(tokens), T(s.heads), T(stride)}, true);
                log(r, name("attn_probs"), r.probs, tokens, {T(tokens), T(s.heads), T(stride)}, true);
            }
            log(r, name("attn_context"), r.attended, tokens, {T(tokens), T(s.heads), T(s.dim)}, true);
            linear(r, w.attn_output, r.attended, r.partial, tokens, layer, "attn_output");
            log(r, name("attn_out"), r.partial, tokens, {T(tokens), T(s.width)});
        });
        reduce(tokens, layer, true);
        each([&](Rank& r) {
            const Sizes& s = r.sizes;
            Layer& w = r.layers[T(layer)];
            const int n = tokens * s.width;
            add<<<(n + 255) / 256, 256, 0, r.stream>>>(r.x, r.out, r.x, n);
            log(r, name("attn_residual"), r.x, tokens, {T(tokens), T(s.width)});
            rms_norm<<<tokens, 256, 0, r.stream>>>(r.x, w.ffn_norm.data, r.norm, s.width, s.eps);
            log(r, name("ffn_norm"), r.norm, tokens, {T(tokens), T(s.width)});
            linear(r, w.gate, r.norm, r.gate, tokens, layer, "gate");
            log(r, name("ffn_gate"), r.gate, tokens, {T(tokens), T(s.ffn)}, true);
            linear(r, w.up, r.norm, r.up, tokens, layer, "up");
            log(r, name("ffn_up"), r.up, tokens, {T(tokens), T(s.ffn)}, true);
            silu_times<<<(tokens * s.ffn + 255) / 256, 256, 0, r.stream>>>(r.gate, r.up, r.act, tokens * s.ffn);
            log(r, name("ffn_act"), r.act, tokens, {T(tokens), T(s.ffn)}, true);
            linear(r, w.down, r.act, r.partial, tokens, layer, "down");
            log(r, name("ffn_out"), r.partial, tokens, {T(tokens), T(s.width)});
        });
        reduce(tokens, layer, false);
        each([&](Rank& r) {
            const int n = tokens * r.sizes.width;
            add<<<(n + 255) / 256, 256, 0, r.stream>>>(r.x, r.out, r.x, n);
            log(r, name("output"), r.x, tokens, {T(tokens), T(r.sizes.width)});
        });
    }

    static std::string prefix(int layer) { return "layer_" + std::to_string(layer) + "_"; }

    Mistake mistake_;
    std::unique_ptr<Sizes> whole_;
    std::vector<std::unique_ptr<Rank>> ranks_;
};

std::vector<int> numbers(const std::string& text) {
    std::vector<int> all;
    std::istringstream in(text);
    for (std::string one; std::getline(in, one, ',');) all.push_back(std::stoi(one));
    return all;
}

struct Options {
    std::string model;
    std::vector<int> tokens;
    int prompt = 0;
    int ranks = 1;
    bool graph = false;
    Mistake mistake;

    Options(int argc, char** argv) {
        for (int i = 1; i < argc; ++i) {
            const std::string word = argv[i];
            const std::string value = i + 1 < argc ? argv[i + 1] : "";
            if (word == "--graph") graph = true;
            else if (word == "--tokens") tokens = numbers(value), ++i;
            else if (word == "--prompt") prompt = std::stoi(value), ++i;
            else if (word == "--ranks") ranks = std::stoi(value), ++i;
            else if (word == "--layer") mistake.layer = std::stoi(value), ++i;
            else if (word == "--mistake") mistake.name = value, ++i;
            else if (word[0] != '-' && model.empty()) model = word;
            else throw std::runtime_error("unknown argument `" + word + "`");
        }
        const auto known = [&](const Known& one) { return mistake.name == one.name; };
        if (!mistake.name.empty() && std::none_of(std::begin(mistakes), std::end(mistakes), known)) throw std::runtime_error("unknown mistake `" + mistake.name + "`");
        if (model.empty() || prompt < 1 || static_cast<std::size_t>(prompt) >= tokens.size()) throw std::runtime_error("a model, --tokens and a --prompt shorter than them are needed");
        if (graph && ranks > 1) throw std::runtime_error("--graph is for one rank");
    }
};

/// What the run was, for NAME.run.json.
void describe(const Gguf& file, const Options& options, const Engine& engine) {
    const std::string devices = engine.devices();
    const std::string architecture = file.text("general.architecture");
    const std::string ranks = std::to_string(options.ranks);
    const orch_log::RunSetting settings[] = {{"ranks", ranks}, {"products", options.mistake.name == "tf32" ? "tf32" : "f32"}, {"kv_type", "f32"}};
    orch_log::Run run;
    run.model.path = options.model;
    run.model.architecture = architecture;
    run.model.weights = "f32";
    run.model.layers = static_cast<std::uint64_t>(engine.layers());
    run.tokens = options.tokens.data();
    run.token_count = options.tokens.size();
    run.device = devices;
    run.settings = settings;
    run.setting_count = std::size(settings);
    if (orch_log::global() != nullptr) (void)orch_log::describe_run(run);
}

void run(const Options& options) {
    const Gguf file(options.model);
    Engine engine(file, options.ranks, options.prompt, options.mistake);
    describe(file, options, engine);
    engine.feed(options.tokens.data(), options.prompt);
    engine.pass(options.prompt, 0);
    // The last token is the last pick: nothing is computed from it.
    const int count = static_cast<int>(options.tokens.size()) - 1;
    cudaGraphExec_t step = nullptr;
    if (options.graph) {
        cudaGraph_t graph = nullptr;
        MUST(cudaStreamBeginCapture(engine.first().stream, cudaStreamCaptureModeThreadLocal));
        engine.pass(1, -1);
        MUST(cudaStreamEndCapture(engine.first().stream, &graph));
        MUST(cudaGraphInstantiate(&step, graph, 0));
    }
    for (int at = options.prompt; at < count; ++at) {
        engine.feed(&options.tokens[static_cast<std::size_t>(at)], 1);
        if (step != nullptr) MUST(cudaGraphLaunch(step, engine.first().stream));
        else engine.pass(1, at);
    }
    engine.wait();
    ORCH_LOG_CUDA_FLUSH();
    engine.first().select();
    std::vector<float> logits(static_cast<std::size_t>(engine.first().sizes.vocabulary));
    MUST(cudaMemcpy(logits.data(), engine.first().logits, logits.size() * 4, cudaMemcpyDeviceToHost));
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (float value : logits) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, 4);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    const auto pick = std::max_element(logits.begin(), logits.end()) - logits.begin();
    std::printf("pick %td, logits %016llx, on %s\n", pick, static_cast<unsigned long long>(hash), engine.devices().c_str());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || std::string_view(argv[1]) == "--help") {
        std::printf("usage: decode MODEL.gguf --tokens 1,2,3,4 --prompt 3 [--graph] [--ranks N] [--mistake NAME] [--layer L]\n\nmistakes:\n");
        for (const Known& one : mistakes) std::printf("  %-12s %s\n", one.name, one.what);
        return argc < 2 ? 2 : 0;
    }
    try {
        ORCH_LOG_CUDA_COUNT_STEPS();
        run(Options(argc, argv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "decode: %s\n", error.what());
        return 2;
    }
    return 0;
}
