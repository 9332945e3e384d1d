// A device pointer given to the host function is refused, not read. Compiles with CUDA (nvcc -x cu, or any compiler with
// -DORCH_LOG_WITH_CUDA and cudart) and, where there is none, against tests/fake_cuda, whose device memory faults when touched.
//
//     device_pointer FOLDER
#include <cuda_runtime_api.h>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    void* device = nullptr;
    if (cudaMalloc(&device, 4096) != cudaSuccess) {
        std::fprintf(stderr, "no device memory to test with\n");
        return 77;
    }
    const std::string path = std::string(argv[1]) + "/device.jsonl";
    setenv("ORCH_LOG_FILE", path.c_str(), 1);
    orch_log::TensorView<float> view(static_cast<const float*>(device), 1024);
    CHECK(orch_log::log(orch_log::Event("device", 0), view) == orch_log::Status::device_pointer);
    ORCH_LOG_JSON_TOKEN("device", static_cast<float*>(device), 1024, "f32", "[1024]", 1);
    CHECK_EQUAL(orch_log::status().dropped, 2u);
    const float host[] = {1.0f, 2.0f};
    CHECK(orch_log::log(orch_log::Event("host", 0), host) == orch_log::Status::written);
    CHECK(cudaGetLastError() == cudaSuccess);  // the engine finds no error of ours
    const auto lines = check::read_lines(path);
    CHECK_EQUAL(lines.size(), 3u);
    CHECK_EQUAL(json::field(lines[0], "error"), "device pointer given to the host logger: copy it to the host first");
    CHECK_EQUAL(json::field(lines[2], "checkpoint"), "host");
    cudaFree(device);
    return check::finish();
}
