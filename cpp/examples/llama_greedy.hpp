// What the llama.cpp examples here share: a model, a context, a prompt, and the most probable next token.
#ifndef LLAMA_GREEDY_HPP
#define LLAMA_GREEDY_HPP

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "llama.h"

namespace greedy {

struct Options {
    const char* model = nullptr;
    std::string prompt;
    int predict = 10;
};

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "error: %s\n", what);
    std::exit(1);
}

/// PROGRAM MODEL PROMPT [N]
inline Options parse(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::fprintf(stderr, "usage: %s MODEL.gguf PROMPT [TOKENS]\n", argv[0]);
        std::exit(2);
    }
    Options options;
    options.model = argv[1];
    options.prompt = argv[2];
    if (argc == 4) options.predict = std::atoi(argv[3]);
    return options;
}

struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
    void operator()(llama_context* context) const { llama_free(context); }
};
using Model = std::unique_ptr<llama_model, Free>;
using Context = std::unique_ptr<llama_context, Free>;

inline Model load(const char* path) {
    // llama.cpp's own messages are not what these examples are about.
    llama_log_set([](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    ggml_backend_load_all();
    Model model(llama_model_load_from_file(path, llama_model_default_params()));
    if (!model) fail("the model cannot be loaded");
    return model;
}

/// A context just long enough, on one thread.
inline llama_context_params context_params(std::size_t prompt, const Options& options) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(prompt) + static_cast<uint32_t>(options.predict);
    params.n_batch = params.n_ctx;
    params.n_threads = params.n_threads_batch = 1;
    // What flash attention fuses cannot be captured one by one.
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    return params;
}

inline std::vector<llama_token> tokenize(const llama_vocab* vocab, const std::string& text) {
    const auto length = static_cast<int32_t>(text.size());
    std::vector<llama_token> tokens(text.size() + 8);
    const int32_t count =
        llama_tokenize(vocab, text.c_str(), length, tokens.data(), static_cast<int32_t>(tokens.size()), true, true);
    if (count <= 0) fail("the prompt has no tokens");
    tokens.resize(static_cast<std::size_t>(count));
    return tokens;
}

inline llama_token most_probable(const float* logits, int n_vocab) {
    return static_cast<llama_token>(std::max_element(logits, logits + n_vocab) - logits);
}

inline void print(const llama_vocab* vocab, llama_token token) {
    char piece[256];
    const int32_t length = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, true);
    if (length > 0) std::fwrite(piece, 1, static_cast<std::size_t>(length), stdout);
    std::fflush(stdout);
}

}  // namespace greedy

#endif
