// What a test says to the runtime of fake_runtime.cpp, and asks of it.
#ifndef ORCH_LOG_TESTS_CUDA_FAKE_RUNTIME_HPP
#define ORCH_LOG_TESTS_CUDA_FAKE_RUNTIME_HPP

#include <cstddef>
#include <map>
#include <string>

#include <cuda_runtime_api.h>

struct CUctx_st;

namespace fake {

struct State {
    /// What a launch does, in place of the device.
    void (*on_launch)(const void* kernel, unsigned blocks, void** arguments) = nullptr;
    /// The capture that streams are in; 0 = none. Its graph has the same number.
    unsigned long long capture = 0;
    /// Calls of `cudaHostRegister` that succeed before all others fail; -1 = all succeed.
    int registrations_until_failure = -1;
    bool has_driver = true;
    /// A kernel has crashed: every call fails until the device is reset.
    bool is_broken = false;
    bool primary_exists = false;
    /// Memory stays registered when its context goes.
    bool keeps_registrations = false;
    /// Contexts that have gone: what tells those apart that have an address after each other.
    unsigned long long generation = 1;
    int synchronisations = 0;
    /// Calls of those functions that a record may need.
    int calls = 0;
    std::map<cudaStream_t, CUctx_st*> stream_contexts;
};
extern State state;

struct UserObject {
    cudaGraph_t graph;
    cudaHostFn_t destroy;
    void* data;
};

CUctx_st* current();
/// Takes a context's memory away: who touches it crashes.
void forget(CUctx_st* context);
std::size_t registered_pieces();
/// The graph and all that was made of it are gone.
void destroy_graph(cudaGraph_t graph);

}  // namespace fake

#endif
