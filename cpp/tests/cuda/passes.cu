// What a pass costs and leaves: calls of CUDA's, kernels at its end, steps, captures, and tensors that are read together.
#include <cstdio>
#include <thread>

#include "parts.hpp"

namespace {

using namespace orch_log;
using namespace parts;
using cuda::u64;

int captures_often() {
    float* data = new_tensor();
    for (unsigned long long capture = 1; capture <= 3000; ++capture) {
        fake::state.capture = capture;
        ORCH_LOG_CUDA("tensor", data, 4, "f32", "[4]", 0, nullptr);
        ORCH_LOG_CUDA_STEP(nullptr);
        // Two graphs are alive at a time: their lanes must not be given away.
        fake::destroy_graph(reinterpret_cast<cudaGraph_t>(capture - 1));
    }
    return orch_log::status().dropped == 0 ? 0 : 3;
}

int waits() {
    log_some("tensor", 0, 3);
    ORCH_LOG_CUDA_STEP(nullptr);
    return order == "wait-for-buffer deliver wait-for-ring " ? 0 : 3;
}

int counts_its_passes() {
    float* data = new_tensor();
    const u64 passes = cuda::Sites::max_sites + 10;
    for (u64 pass = 0; pass < passes; ++pass) {
        ORCH_LOG_CUDA_EVENT(Event("tensor", 0).n_tokens(3).step(pass), TensorView<float>(data, 4), 7, nullptr);
        // No faster than the host: that the ring is too small is another test's affair.
        if (pass % 4096 == 4095) ORCH_LOG_CUDA_FLUSH();
    }
    return orch_log::status().dropped == 0 ? 0 : 3;
}

const cudaStream_t own_stream = reinterpret_cast<cudaStream_t>(0x10);

/// With `side`, passes of which the first is not known to end, then some that are reset or crash in the middle.
int puts_off() {
    for (int pass = 0; pass < 3; ++pass) {
        log_some("tensor", 40 * pass, 40 * (pass + 1), own_stream);
        ORCH_LOG_CUDA_STEP(own_stream);
    }
    if (order != "16 16 8 16 16 8 ") return 3;
    // A record that is not read with others comes after those before it.
    log_some("tensor", 120, 123, own_stream);
    float* data = new_tensor();
    ORCH_LOG_CUDA_EVENT(Event("tensor", 0), (TensorView<float>(data, Shape{2, 2}, Strides{1, 2})), 123, own_stream);
    if (order != "16 16 8 16 16 8 3 ") return 4;
    log_some("lost", 0, 5, own_stream);
    (void)cudaDeviceReset();
    log_some("tensor", 124, 130, own_stream);
    ORCH_LOG_CUDA_STEP(own_stream);
    log_some("lost", 5, 9, own_stream);
    return 0;
}

int calls_of_a_record(bool is_side) {
    float* data = new_tensor();
    // What memory it is is asked once, and whether passes end known when one has.
    ORCH_LOG_CUDA("tensor", data, 4, "f32", "[4]", 0, own_stream);
    ORCH_LOG_CUDA_STEP(own_stream);
    const int before = fake::state.calls;
    for (int i = 0; i < 160; ++i) ORCH_LOG_CUDA("tensor", data, 4, "f32", "[4]", i, own_stream);
    const int calls = fake::state.calls - before;
    // Sixteen with `side`: all ask for context and capture, the first and the last for the rest too, and there is one launch.
    const int expected = is_side ? 10 * (16 * 3 + 2 * 9 + 1) : 160 * 10;
    if (calls != expected) std::fprintf(stderr, "%d calls, not %d\n", calls, expected);
    return calls == expected ? 0 : 3;
}

int calls_outside_of_graphs() { return calls_of_a_record(false); }
int calls_with_side() { return calls_of_a_record(true); }

void wait_until_written(std::uint64_t records) {
    while (orch_log::status().written < records) std::this_thread::yield();
}

int ends_its_passes() {
    ORCH_LOG_CUDA_COUNT_STEPS();
    for (int pass = 0; pass < 3; ++pass) {
        log_some("tensor", 10 * pass, 10 * (pass + 1));
        // The first is read before anybody has ended one.
        wait_until_written(static_cast<std::uint64_t>(10 * (pass + 1)));
        ORCH_LOG_CUDA_STEP(nullptr);
    }
    return 0;
}

/// In a full trace all records of a pass are read after its end, in another one some before.
int does_not_say_that_it_ends_its_passes() {
    for (int pass = 0; pass < 3; ++pass) {
        log_some("tensor", 10 * pass, 10 * (pass + 1));
        ORCH_LOG_CUDA_STEP(nullptr);
    }
    return 0;
}

}  // namespace

int main() {
    (void)run("captures-often", &captures_often);
    (void)run("waits", &waits, {{"ORCH_LOG_DETAIL", "full"}, {"ORCH_LOG_CUDA_WAIT", "5"}});
    {
        const Outcome found = run("counts-its-passes", &counts_its_passes, {{"ORCH_LOG_DETAIL", "values"}});
        CHECK_EQUAL(found.lines.size(), std::size_t{cuda::Sites::max_sites + 10});
        CHECK(found.lines.back().find("\"n_tokens\":3") != std::string::npos);
        CHECK(found.lines.back().find("\"step\":" + std::to_string(cuda::Sites::max_sites + 9)) != std::string::npos);
    }
    {
        const Outcome found = run("puts-off", &puts_off, {{"ORCH_LOG_CUDA_MODE", "side"}});
        CHECK(found.positions("tensor") == numbers(0, 130));
        CHECK_EQUAL(found.count("\"lost\""), std::size_t{0});
        CHECK_EQUAL(found.count("\"values\":[5,0],\"error\":\"with ORCH_LOG_CUDA_MODE=side a pass is read at its end"), std::size_t{1});
        CHECK_EQUAL(found.count("\"values\":[9,0],\"error\":\"with ORCH_LOG_CUDA_MODE=side a pass is read at its end"), std::size_t{1});
    }
    CHECK_EQUAL(run("calls", &calls_outside_of_graphs).said, "");
    CHECK_EQUAL(run("calls-side", &calls_with_side, {{"ORCH_LOG_CUDA_MODE", "side"}}).said, "");
    {
        const Outcome found = run("ends-its-passes", &ends_its_passes);
        CHECK_EQUAL(found.lines.size(), std::size_t{30});
        for (const char* step : {"\"step\":0,", "\"step\":1,", "\"step\":2,"}) CHECK_EQUAL(found.count(step), std::size_t{10});
    }
    for (const char* detail : {"full", "stats"}) {
        const Outcome found = run(detail, &does_not_say_that_it_ends_its_passes, {{"ORCH_LOG_DETAIL", detail}});
        CHECK(found.positions("tensor") == numbers(0, 30));
        CHECK_EQUAL(found.count("\"step\":"), std::size_t{20});
        for (const char* step : {"\"step\":1,", "\"step\":2,"}) CHECK_EQUAL(found.count(step), std::size_t{10});
    }
    std::printf("%d checks\n", check::checks);
    return check::finish();
}
