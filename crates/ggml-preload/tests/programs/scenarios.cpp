// What programs do that a capture must cope with: SCENARIO MODEL PROMPT.
#include <cstring>

#include "llama_greedy.hpp"

namespace {

void clear(llama_context* context) { llama_memory_clear(llama_get_memory(context), true); }

void decode(llama_context* context, std::vector<llama_token> tokens) {
    const auto n_tokens = static_cast<int32_t>(tokens.size());
    if (llama_decode(context, llama_batch_get_one(tokens.data(), n_tokens)) != 0) greedy::fail("decode");
}

struct Row {
    llama_token token;
    llama_pos position;
    llama_seq_id seq;
};

void decode(llama_context* context, const std::vector<Row>& rows) {
    llama_batch batch = llama_batch_init(static_cast<int32_t>(rows.size()), 0, 1);
    for (const Row& row : rows) {
        const auto i = batch.n_tokens++;
        batch.token[i] = row.token;
        batch.pos[i] = row.position;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = row.seq;
        batch.logits[i] = 1;
    }
    if (llama_decode(context, batch) != 0) greedy::fail("decode");
    llama_batch_free(batch);
}

/// A program with a callback of its own, which wants every third product and ends the second graph early.
struct Own {
    unsigned asked = 0, got = 0, wanted = 0;
    unsigned long long hash = 1469598103934665603ull;
    unsigned stop_at = 0;

    static bool call(ggml_tensor* tensor, bool ask, void* data) {
        auto* own = static_cast<Own*>(data);
        if (ask) {
            ++own->asked;
            return std::strcmp(ggml_op_name(tensor->op), "MUL_MAT") == 0 && ++own->wanted % 3 == 0;
        }
        ++own->got;
        std::vector<unsigned char> bytes(ggml_nbytes(tensor));
        ggml_backend_tensor_get(tensor, bytes.data(), 0, bytes.size());
        for (const unsigned char byte : bytes) own->hash = (own->hash ^ byte) * 1099511628211ull;
        for (const char* c = tensor->name; *c != 0; ++c) own->hash = (own->hash ^ static_cast<unsigned char>(*c)) * 31;
        return own->got != own->stop_at;
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::string scenario = argv[1];
    greedy::Options options;
    options.predict = 40;
    const greedy::Model model = greedy::load(argv[2]);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    const std::vector<llama_token> tokens = greedy::tokenize(vocab, argv[3]);
    llama_context_params params = greedy::context_params(tokens.size(), options);
    Own own;
    if (scenario == "flash") params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    if (scenario == "split") params.n_ubatch = 4;
    if (scenario == "sequences") {
        params.n_seq_max = 2;
        params.kv_unified = true;
    }
    if (scenario == "own-callback") {
        params.cb_eval = Own::call;
        params.cb_eval_user_data = &own;
    }
    const greedy::Context context(llama_init_from_model(model.get(), params));
    if (!context) greedy::fail("the context cannot be made");

    if (scenario == "warm-up") {
        decode(context.get(), std::vector<llama_token>{llama_vocab_bos(vocab), llama_vocab_eos(vocab)});
        clear(context.get());
        decode(context.get(), std::vector<llama_token>{0, 0});
        clear(context.get());
        decode(context.get(), tokens);
        decode(context.get(), std::vector<llama_token>{5});
    } else if (scenario == "two-prompts") {
        decode(context.get(), tokens);
        decode(context.get(), std::vector<llama_token>{5});
        clear(context.get());
        decode(context.get(), std::vector<llama_token>(tokens.rbegin(), tokens.rend()));
    } else if (scenario == "sequences") {
        std::vector<Row> rows;
        for (llama_pos i = 0; i < 3; ++i) rows.push_back({tokens[static_cast<std::size_t>(i)], i, 0});
        for (llama_pos i = 0; i < 2; ++i) rows.push_back({tokens[static_cast<std::size_t>(i)], i, 1});
        decode(context.get(), rows);
        decode(context.get(), std::vector<Row>{{7, 3, 0}, {8, 2, 1}});
    } else if (scenario == "own-callback") {
        decode(context.get(), tokens);
        own.stop_at = own.got + 5;
        decode(context.get(), std::vector<llama_token>{5});
        decode(context.get(), std::vector<llama_token>{6});
        std::printf("%u %u %016llx\n", own.asked, own.got, own.hash);
    } else {
        decode(context.get(), tokens);
    }
    const float* logits = llama_get_logits_ith(context.get(), -1);
    std::printf("%d %.9g\n", greedy::most_probable(logits, llama_vocab_n_tokens(vocab)), static_cast<double>(logits[0]));
    return 3;  // not 0, to see that it is passed on
}
