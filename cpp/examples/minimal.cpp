// The smallest engine that logs: one "layer", three positions.
//
//     c++ -std=c++17 -O2 -DORCH_LOGGING -I.. minimal.cpp -o minimal
//     ORCH_LOG_FILE=run.jsonl ORCH_LOG_TEAM=minimal ./minimal && cat run.jsonl
#include <cstdio>
#include <vector>

#include "orch_log.hpp"

namespace {

/// What a layer might compute; the point is only that the values are easy to check by hand.
std::vector<float> layer(int token_idx) {
    std::vector<float> output(12);
    for (int i = 0; i < 12; ++i) output[static_cast<std::size_t>(i)] = 0.5f * static_cast<float>(i - token_idx);
    return output;
}

}  // namespace

int main() {
    const int tokens[] = {9906, 11, 1917};
    ORCH_LOG_JSON("tokens", tokens, 3, "i32", "[3]");
    for (int token_idx = 0; token_idx < 3; ++token_idx) {
        const std::vector<float> output = layer(token_idx);
        ORCH_LOG_JSON_TOKEN("layer_0_output", output.data(), output.size(), "f32", "[12]", token_idx);
    }

    // The same through functions, where a record has more to say.
    const std::vector<float> heads(2 * 3 * 4, 0.25f);
    const auto status = orch_log::log(
        orch_log::Event("layer_0_q", 0).shape({2, 3, 4}).n_tokens(2).step(0).op("MUL_MAT").src({"layer_0_attn_norm"}),
        heads);
    if (!orch_log::is_ok(status)) std::fprintf(stderr, "not logged: %s\n", orch_log::describe(status));
    ORCH_LOG_FLUSH();
    return 0;
}
