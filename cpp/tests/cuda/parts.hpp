// Parts of a test that each run in a process of their own, against a device that the test plays.
#ifndef ORCH_LOG_TESTS_CUDA_PARTS_HPP
#define ORCH_LOG_TESTS_CUDA_PARTS_HPP

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "check.hpp"
#include "fake_runtime.hpp"
#include "play_device.hpp"

namespace parts {

namespace cuda = orch_log::cuda;
using cuda::u32;
using cuda::u64;

template <class... Arguments>
const void* address(void (*kernel)(Arguments...)) {
    return reinterpret_cast<const void*>(kernel);
}

/// Tensors whose records the device does not write any more: it has crashed.
inline bool is_dead = false;
/// Kernels of a pass's end, in the order in which they were launched.
inline std::string order;
inline std::vector<CUctx_st*> launched_in;
inline const void* last_scratch = nullptr;

inline void play_launch(const void* kernel, unsigned blocks, void** arguments) {
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

inline float* new_tensor() {
    void* memory = nullptr;
    (void)cudaMalloc(&memory, 4096);
    float* data = static_cast<float*>(memory);
    for (int i = 0; i < 4; ++i) data[i] = static_cast<float>(i);
    return data;
}

inline void log_some(const char* name, int from, int to, cudaStream_t stream = nullptr) {
    float* data = new_tensor();
    for (int i = from; i < to; ++i) ORCH_LOG_CUDA(name, data, 4, "f32", "[4]", i, stream);
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

inline std::string numbers(int from, int to) {
    std::string all;
    for (int i = from; i < to; ++i) all += std::to_string(i) + " ";
    return all;
}

/// Runs a part in a process of its own, which has to end with 0.
inline Outcome run(const char* name, int (*part)(), std::vector<Variable> variables = {}) {
    const std::string trace = std::string("part-") + name + ".jsonl";
    const std::string errors = std::string("part-") + name + ".err";
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

}  // namespace parts

#endif
