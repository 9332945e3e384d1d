// What becomes of the logger when the device is reset, when memory cannot be had, after a fork, at the program's end, and in an
// engine with several CUDA contexts. Each part runs in a process of its own, against a device that the test plays.
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "check.hpp"
#include "fake_runtime.hpp"
#include "play_device.hpp"

namespace {

using namespace orch_log;
using cuda::u32;
using cuda::u64;

template <class... Arguments>
const void* address(void (*kernel)(Arguments...)) {
    return reinterpret_cast<const void*>(kernel);
}

/// Tensors whose records the device does not write any more: it has crashed.
bool is_dead = false;
/// Kernels of a pass's end, in the order in which they were launched.
std::string order;
std::vector<CUctx_st*> launched_in;
const void* last_scratch = nullptr;

void play_launch(const void* kernel, unsigned blocks, void** arguments) {
    if (kernel == address(&cuda::log_plain<cuda::F32>) || kernel == address(&cuda::log_strided<cuda::F32>)) {
        launched_in.push_back(fake::current());
        last_scratch = static_cast<cuda::Scratch*>(arguments[2])->partials;
        static_cast<cuda::Scratch*>(arguments[2])->partials[0].figure[0] = 1.0;  // as all that is the context's, gone after a reset
        if (!is_dead) play::log_f32(*static_cast<cuda::Job*>(arguments[0]), *static_cast<cuda::Ring*>(arguments[1]));
    }
    if (kernel == address(&cuda::log_batch<0>)) {
        static_cast<cuda::Scratch*>(arguments[2])->partials[0].figure[0] = 1.0;
        const cuda::Batch& batch = *static_cast<cuda::Batch*>(arguments[0]);
        order += std::to_string(batch.count) + (blocks == batch.count ? " " : "? ");
        for (u32 i = 0; i < batch.count && !is_dead; ++i) play::log_f32(batch.jobs[i], *static_cast<cuda::Ring*>(arguments[1]));
    }
    if (kernel == address(&cuda::copy_small<0>)) std::memcpy(*static_cast<unsigned char**>(arguments[1]), *static_cast<const unsigned char**>(arguments[0]), *static_cast<u64*>(arguments[2]));
    if (kernel == address(&cuda::next_step<0>)) **static_cast<u64**>(arguments[0]) += 1;
    if (kernel == address(&cuda::deliver<0>)) {
        order += "deliver ";
        if (!is_dead) play::deliver(*static_cast<const unsigned char**>(arguments[0]), *static_cast<u64*>(arguments[1]), *static_cast<cuda::Delivery*>(arguments[2]));
    }
    if (kernel == address(&cuda::wait_for_host<0>)) {
        const cuda::Backlog& backlog = *static_cast<cuda::Backlog*>(arguments[0]);
        order += backlog.taken != nullptr ? (backlog.most_records == ~u64{0} ? "wait-for-buffer " : "wait-for-both ") : "wait-for-ring ";
    }
}

float* new_tensor() {
    void* memory = nullptr;
    (void)cudaMalloc(&memory, 4096);
    float* data = static_cast<float*>(memory);
    for (int i = 0; i < 4; ++i) data[i] = static_cast<float>(i);
    return data;
}

void log_some(const char* name, int from, int to, cudaStream_t stream = nullptr) {
    float* data = new_tensor();
    for (int i = from; i < to; ++i) ORCH_LOG_CUDA(name, data, 4, "f32", "[4]", i, stream);
}

// --- what the processes do ---

int resets() {
    for (int round = 0; round < 3; ++round) {
        log_some("before", 1000 * round, 1000 * (round + 1));
        (void)cudaDeviceReset();
    }
    log_some("after", 0, 10);
    return fake::registered_pieces() == 1 ? 0 : 3;
}

int resets_full() {
    for (int round = 0; round < 3; ++round) {
        log_some("tensor", 10 * round, 10 * (round + 1));
        ORCH_LOG_CUDA_STEP(nullptr);
        (void)cudaDeviceReset();
    }
    return fake::registered_pieces() == 0 ? 0 : 3;
}

int dies() {
    log_some("alive", 0, 20);
    is_dead = true;
    log_some("dead", 0, 5);
    (void)cudaDeviceReset();
    is_dead = false;
    log_some("reborn", 0, 20);
    is_dead = true;
    log_some("dead", 5, 7);
    return 0;
}

int recovers() {
    for (int round = 0; round < 2; ++round) {
        log_some("tensor", 10 * round, 10 * (round + 1));
        float* data = new_tensor();
        fake::state.is_broken = true;
        for (int i = 0; i < 5; ++i) ORCH_LOG_CUDA("refused", data, 4, "f32", "[4]", i, nullptr);
        ORCH_LOG_CUDA_FLUSH();
        (void)cudaDeviceReset();
    }
    log_some("tensor", 20, 30);
    return orch_log::status().dropped == 10 ? 0 : 3;
}

int broken_from_the_start() {
    float* data = new_tensor();
    fake::state.is_broken = true;
    for (int i = 0; i < 5; ++i) ORCH_LOG_CUDA("refused", data, 4, "f32", "[4]", i, nullptr);
    (void)cudaDeviceReset();
    log_some("tensor", 0, 10);
    return orch_log::status().dropped == 5 ? 0 : 3;
}

int no_registration() {
    fake::state.registrations_until_failure = 0;
    log_some("tensor", 0, 10);
    ORCH_LOG_CUDA_STEP(nullptr);
    ORCH_LOG_CUDA_FLUSH();
    return orch_log::status().dropped == 11 ? 0 : 3;
}

int no_payloads() {
    fake::state.registrations_until_failure = 1;
    for (int pass = 0; pass < 3; ++pass) {
        log_some("tensor", 10 * pass, 10 * (pass + 1));
        ORCH_LOG_CUDA_STEP(nullptr);
    }
    return 0;
}

/// The passes outgrow their buffers, and there is no memory for larger ones.
int outgrows_its_buffers() {
    fake::state.registrations_until_failure = 2;
    for (int tensors : {10, 40, 10}) {
        log_some("tensor", 0, tensors);
        ORCH_LOG_CUDA_STEP(nullptr);
    }
    return 0;
}

int not_after_a_reset() {
    log_some("tensor", 0, 10);
    fake::state.registrations_until_failure = 0;
    (void)cudaDeviceReset();
    log_some("lost", 0, 10);
    return orch_log::status().dropped == 10 ? 0 : 3;
}

int forks() {
    log_some("tensor", 0, 10);
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        log_some("child", 0, 10);
        ORCH_LOG_CUDA_STEP(nullptr);
        ORCH_LOG_CUDA_FLUSH();
        return orch_log::cuda::waited_ns() == 0 ? 0 : 3;
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) return 4;
    log_some("tensor", 10, 20);
    return 0;
}

int contexts() {
    const cudaStream_t streams[] = {reinterpret_cast<cudaStream_t>(0x10), reinterpret_cast<cudaStream_t>(0x20)};
    CUctx_st* const owners[] = {reinterpret_cast<CUctx_st*>(0x2000), reinterpret_cast<CUctx_st*>(0x3000)};
    for (int i = 0; i < 2; ++i) fake::state.stream_contexts[streams[i]] = owners[i];
    float* data = new_tensor();
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 2; ++i) {
            ORCH_LOG_CUDA(i == 0 ? "first" : "second", data, 4, "f32", "[4]", round, streams[i]);
            if (launched_in.back() != owners[i]) return 3;  // a kernel of the other context would not find its memory
        }
        // Another context gets the address of the one that is gone.
        fake::forget(owners[1]);
    }
    ORCH_LOG_CUDA_FLUSH();
    // The contexts that are there are waited for, and no other.
    return fake::state.synchronisations == 1 ? 0 : 4;
}

int contexts_keep_memory() {
    fake::state.keeps_registrations = true;
    return contexts();
}

int no_driver() {
    fake::state.has_driver = false;
    log_some("tensor", 0, 10);
    (void)cudaDeviceReset();
    log_some("tensor", 10, 20);
    ORCH_LOG_CUDA_FLUSH();
    return fake::state.synchronisations == 1 ? 0 : 3;
}

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

int logs_tokens() {
    void* memory = nullptr;
    (void)cudaMalloc(&memory, 4096);
    float* ids = static_cast<float*>(memory);
    for (int i = 0; i < 16; ++i) ids[i] = static_cast<float>(i);
    ORCH_LOG_CUDA("tokens", ids, 16, "f32", "[16]", 0, nullptr);
    ORCH_LOG_CUDA("other", ids, 16, "f32", "[16]", 0, nullptr);
    return 0;
}

int shares_no_scratch() {
    float* data = new_tensor();
    const auto log_in = [data](cudaStream_t stream) {
        std::thread([=] { ORCH_LOG_CUDA("tensor", data, 4, "f32", "[4]", 0, stream); }).join();
        return last_scratch;
    };
    // The same handle, and in each thread another stream, whose kernels run at the same time.
    if (log_in(cudaStreamPerThread) == log_in(cudaStreamPerThread)) return 3;
    return log_in(cudaStreamLegacy) == log_in(cudaStreamLegacy) ? 0 : 4;
}

int gives_host_memory() {
    float* data = new_tensor();
    float on_host[4] = {};
    int position = 3;
    ORCH_LOG_CUDA("host", on_host, 4, "f32", "[4]", 0, nullptr);
    ORCH_LOG_CUDA("host", data, 4, "f32", "[4]", &position, nullptr);
    ORCH_LOG_CUDA("device", data, 4, "f32", "[4]", 0, nullptr);
    return launched_in.size() == 1 && orch_log::status().dropped == 2 ? 0 : 3;
}

struct Variable {
    const char* name;
    const char* value;
};

/// What a part left behind.
struct Outcome {
    std::vector<std::string> lines;
    std::string said;

    std::size_t count(const std::string& text) const {
        std::size_t found = 0;
        for (const std::string& line : lines) found += line.find(text) != std::string::npos;
        return found;
    }
    /// Positions of a checkpoint's records, as they stand in the trace.
    std::string positions(const std::string& name) const {
        std::string all;
        for (const std::string& line : lines) {
            if (line.find("\"checkpoint\":\"" + name + "\"") == std::string::npos) continue;
            const std::size_t at = line.find("\"token_idx\":") + 12;
            all += line.substr(at, line.find(',', at) - at) + " ";
        }
        return all;
    }
};

std::string numbers(int from, int to) {
    std::string all;
    for (int i = from; i < to; ++i) all += std::to_string(i) + " ";
    return all;
}

/// Runs a part in a process of its own, which has to end with 0.
Outcome run(const char* name, int (*part)(), std::vector<Variable> variables = {}) {
    const std::string trace = std::string("lifetime-") + name + ".jsonl";
    const std::string errors = std::string("lifetime-") + name + ".err";
    const pid_t child = fork();
    if (child == 0) {
        alarm(120);  // a hang is a failure
        setenv("ORCH_LOG_FILE", trace.c_str(), 1);
        for (const Variable& variable : variables) setenv(variable.name, variable.value, 1);
        if (std::freopen(errors.c_str(), "w", stderr) == nullptr) std::exit(9);
        fake::state.on_launch = &play_launch;
        std::exit(part());
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    check::equal(status, 0, name, __FILE__, __LINE__);
    return {check::read_lines(trace), check::read_file(errors)};
}

}  // namespace

int main() {
    {
        const Outcome found = run("resets", &resets);
        CHECK(found.positions("before") == numbers(0, 3000));
        CHECK(found.positions("after") == numbers(0, 10));
        CHECK_EQUAL(found.count("orch_log.dropped"), std::size_t{0});
        CHECK_EQUAL(found.said, "");
    }
    {
        const Outcome found = run("resets-full", &resets_full, {{"ORCH_LOG_DETAIL", "full"}});
        CHECK(found.positions("tensor") == numbers(0, 30));
        CHECK_EQUAL(found.count("\"payload\":{"), std::size_t{30});
        CHECK_EQUAL(found.count("orch_log.dropped"), std::size_t{0});
    }
    {
        const Outcome found = run("dies", &dies);
        CHECK(found.positions("alive") == numbers(0, 20));
        CHECK(found.positions("reborn") == numbers(0, 20));
        CHECK_EQUAL(found.count("\"dead\""), std::size_t{0});
        CHECK_EQUAL(found.count("\"values\":[5,0],\"error\":\"the device stopped"), std::size_t{1});
        CHECK_EQUAL(found.count("\"values\":[7,0],\"error\":\"the device stopped"), std::size_t{1});
    }
    {
        const Outcome found = run("recovers", &recovers);
        CHECK(found.positions("tensor") == numbers(0, 30));
        CHECK_EQUAL(found.said, "");
    }
    CHECK(run("broken-from-the-start", &broken_from_the_start).positions("tensor") == numbers(0, 10));
    {
        const Outcome found = run("no-registration", &no_registration);
        CHECK_EQUAL(found.count("\"values\":[11,0],\"error\":\"a CUDA call failed\""), std::size_t{1});
        CHECK(found.said.find("orch_log: tensors in GPU memory are not logged: host memory cannot be registered (") == 0);
        CHECK(found.said.find("): out of memory\n") == found.said.size() - 17);
    }
    {
        const Outcome found = run("no-payloads", &no_payloads, {{"ORCH_LOG_DETAIL", "full"}});
        CHECK(found.positions("tensor") == numbers(0, 30));
        CHECK_EQUAL(found.count("\"payload\":{"), std::size_t{0});
        CHECK_EQUAL(found.count("\"values\":[0,30],\"error\":\"a CUDA call failed\""), std::size_t{1});
        CHECK(found.said.find("orch_log: payloads of tensors in GPU memory are not logged: host memory cannot be registered (") == 0);
        CHECK(found.said.find('\n') == found.said.size() - 1);
    }
    {
        const Outcome found = run("outgrows-its-buffers", &outgrows_its_buffers, {{"ORCH_LOG_DETAIL", "full"}});
        CHECK(found.positions("tensor") == numbers(0, 10) + numbers(0, 40) + numbers(0, 10));
        // A tensor takes 256 bytes, the smallest buffer has 4096: sixteen come of the second pass.
        CHECK_EQUAL(found.count("\"payload\":{"), std::size_t{10 + 16 + 10});
        CHECK_EQUAL(found.count("\"values\":[0,24],\"error\":\"a CUDA call failed\""), std::size_t{1});
        CHECK(found.said.find('\n') == found.said.size() - 1);
    }
    {
        const Outcome found = run("not-after-a-reset", &not_after_a_reset);
        CHECK(found.positions("tensor") == numbers(0, 10));
        CHECK(found.said.find("orch_log: tensors in GPU memory are not logged: host memory cannot be registered (") == 0);
        CHECK(found.said.find('\n') == found.said.size() - 1);
    }
    {
        const Outcome found = run("forks", &forks);
        CHECK(found.positions("tensor") == numbers(0, 20));
        CHECK_EQUAL(found.count("\"child\""), std::size_t{0});
        CHECK_EQUAL(found.count("\"values\":[11,0],\"error\":\"a CUDA call failed\""), std::size_t{1});
    }
    {
        const Outcome found = run("contexts", &contexts);
        CHECK(found.positions("first") == numbers(0, 3));
        CHECK(found.positions("second") == numbers(0, 3));
        CHECK_EQUAL(found.count("orch_log.dropped"), std::size_t{0});
    }
    {
        const Outcome found = run("contexts-keep-memory", &contexts_keep_memory);
        CHECK(found.positions("first") == numbers(0, 3));
        CHECK(found.positions("second") == numbers(0, 3));
    }
    CHECK(run("no-driver", &no_driver).positions("tensor") == numbers(0, 20));
    {
        const Outcome found = run("gives-host-memory", &gives_host_memory);
        CHECK(found.positions("device") == "0 ");
        CHECK_EQUAL(found.count("\"host\""), std::size_t{0});
        CHECK_EQUAL(found.count("\"error\":\"host pointer given to the device logger"), std::size_t{2});
    }
    (void)run("shares-no-scratch", &shares_no_scratch);
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
    {
        const Outcome found = run("tokens", &logs_tokens, {{"ORCH_LOG_CUDA_MODE", "fast"}, {"ORCH_LOG_CUDA_SLOTS", "15"}});
        CHECK_EQUAL(found.count("\"tokens\",\"team\":\"lifetime\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[16]\",\"values\":[0.0,1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,10.0,11.0,12.0,13.0,14.0,15.0]"), std::size_t{1});
        CHECK_EQUAL(found.count("\"values\":[0.0,1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0],"), std::size_t{1});
        CHECK_EQUAL(found.said, "orch_log: ORCH_LOG_CUDA_MODE=`fast` is not usable (expected `snapshot`, `in_stream` or `side`); the default is used; "
                                "ORCH_LOG_CUDA_SLOTS=`15` is not usable (expected records from 16 to 16777216); the default is used\n");
    }
    std::printf("%d checks\n", check::checks);
    return check::finish();
}
