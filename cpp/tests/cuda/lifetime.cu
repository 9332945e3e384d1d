// What becomes of the logger when the device is reset, when memory cannot be had, after a fork, at the program's end, and in an
// engine with several CUDA contexts.
#include <thread>

#include "parts.hpp"

namespace {

using namespace orch_log;
using namespace parts;

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
