// No allocation once a thread's line buffer has its size: counted by taking the place of malloc (glibc).
//
//     allocations FOLDER
#include <atomic>
#include <cstdlib>
#include <vector>

#include "check.hpp"
#include "orch_log.hpp"

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void __libc_free(void* memory);
}

namespace {
std::atomic<long> allocations{0};
}

extern "C" {
void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    ++allocations;
    return __libc_realloc(memory, size);
}
void free(void* memory) { __libc_free(memory); }
}

namespace {

void steady(const std::string& path, orch_log::Detail detail, std::uint64_t buffer, const char* what) {
    orch_log::Settings settings;
    settings.path = path;
    settings.team = "steady";
    settings.detail = detail;
    settings.buffer = buffer;
    settings.filter = "layer_*, !*_k";
    settings.tokens = "0-5000";
    settings.timestamps = true;
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings) == orch_log::Status::written);
    const std::vector<float> values(4096, 0.37f);
    const std::vector<double> wide(300, 0.37);
    const auto once = [&](int i) {
        int lost = 0;
        orch_log::Event event("layer_0_output", i);
        event.n_tokens(2).op("MUL_MAT").src({"layer_0_attn_norm", "weights"});
        lost += !orch_log::is_ok(recorder.log(event, values));
        lost += !orch_log::is_ok(recorder.log(event, orch_log::TensorView<float>(values.data() + 4095, {64, 32}, {-64, -1})));
        lost += !orch_log::is_ok(recorder.log(event, wide));
        lost += !orch_log::is_ok(recorder.log(orch_log::Event("layer_0_k", i), wide));
        return lost;
    };
    int lost = once(0);
    const long before = allocations.load();
    for (int i = 1; i <= 1000; ++i) lost += once(i);
    const long made = allocations.load() - before;
    check::equal(made, 0l, what, __FILE__, __LINE__);
    CHECK_EQUAL(lost, 0);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::string folder = argv[1];
    delete new int(1);
    CHECK(allocations.load() > 0);  // the counter counts
    steady(folder + "/values.jsonl", orch_log::Detail::values, 0, "values");
    steady(folder + "/stats.jsonl", orch_log::Detail::stats, 0, "stats");
    steady(folder + "/full.jsonl", orch_log::Detail::full, 0, "full");
    steady(folder + "/buffered.jsonl", orch_log::Detail::stats, 65536, "buffered");
    return check::finish();
}
