// llama.cpp's main loop with one line that captures every checkpoint of every pass.
//
//     c++ -std=c++17 -O2 -DORCH_LOGGING -I.. -I$LLAMA/include llama_every_checkpoint.cpp -lllama -lggml -lggml-base -ldl
//     export ORCH_LOG_GGML_LIBRARY=…/libggml_preload.so
//     ORCH_LOG_FILE=run.jsonl ORCH_LOG_TEAM=llama.cpp ./a.out model.gguf "Write a haiku about GPU computing" 10
#include "llama_greedy.hpp"
#include "orch_log_ggml.hpp"

int main(int argc, char** argv) {
    const greedy::Options options = greedy::parse(argc, argv);
    const greedy::Model model = greedy::load(options.model);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    std::vector<llama_token> tokens = greedy::tokenize(vocab, options.prompt);

    llama_context_params params = greedy::context_params(tokens.size(), options);
    orch_log::capture_llama(model.get(), params);
    const greedy::Context context(llama_init_from_model(model.get(), params));
    if (!context) greedy::fail("the context cannot be made");

    for (int picked = 0; picked < options.predict; ++picked) {
        const auto n_tokens = static_cast<int32_t>(tokens.size());
        if (llama_decode(context.get(), llama_batch_get_one(tokens.data(), n_tokens)) != 0) greedy::fail("decode");
        const float* logits = llama_get_logits_ith(context.get(), -1);
        const llama_token next = greedy::most_probable(logits, llama_vocab_n_tokens(vocab));
        greedy::print(vocab, next);
        if (llama_vocab_is_eog(vocab, next)) break;
        tokens.assign(1, next);
    }
    std::fputc('\n', stdout);
    return 0;
}
