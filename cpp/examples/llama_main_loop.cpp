// llama.cpp's main loop with one line that logs: what each decode was fed with, and the logits that came out.
//
//     c++ -std=c++17 -O2 -DORCH_LOGGING -I.. -I$LLAMA/include llama_main_loop.cpp -lllama -lggml -lggml-base
//     ORCH_LOG_FILE=run.jsonl ORCH_LOG_TEAM=llama.cpp ./a.out model.gguf "Write a haiku about GPU computing" 10
//
// Built without -DORCH_LOGGING this is an ordinary program that knows nothing of logging.
#include <string>

#include "llama_greedy.hpp"
#include "orch_log.hpp"

int main(int argc, char** argv) {
    const greedy::Options options = greedy::parse(argc, argv);
    const greedy::Model model = greedy::load(options.model);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    const int n_vocab = llama_vocab_n_tokens(vocab);
    std::vector<llama_token> tokens = greedy::tokenize(vocab, options.prompt);

    const llama_context_params params = greedy::context_params(tokens.size(), options);
    const greedy::Context context(llama_init_from_model(model.get(), params));
    if (!context) greedy::fail("the context cannot be made");

    const std::string shape = "[" + std::to_string(n_vocab) + "]";
    int token_idx = 0;
    for (int picked = 0; picked < options.predict; ++picked) {
        const auto n_tokens = static_cast<int32_t>(tokens.size());
        for (int32_t i = 0; i < n_tokens; ++i) ORCH_LOG_JSON_TOKEN("tokens", &tokens[i], 1, "i32", "[1]", token_idx + i);
        if (llama_decode(context.get(), llama_batch_get_one(tokens.data(), n_tokens)) != 0) greedy::fail("decode");
        token_idx += n_tokens;

        const float* logits = llama_get_logits_ith(context.get(), -1);
        ORCH_LOG_JSON_TOKEN("logits", logits, n_vocab, "f32", shape, token_idx - 1);
        const llama_token next = greedy::most_probable(logits, n_vocab);
        greedy::print(vocab, next);
        if (llama_vocab_is_eog(vocab, next)) break;
        tokens.assign(1, next);
    }
    std::fputc('\n', stdout);
    return 0;
}
