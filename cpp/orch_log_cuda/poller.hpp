// The thread that empties the rings of all devices.
#ifndef ORCH_LOG_CUDA_POLLER_HPP
#define ORCH_LOG_CUDA_POLLER_HPP

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <time.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#include "../orch_log/global.hpp"
#include "context.hpp"
#include "quiet.hpp"
#include "reader.hpp"

namespace orch_log {
namespace cuda {
namespace impl {

/// Devices of one process that can be logged from.
constexpr int max_devices = 64;

/// All contexts and the thread that reads them. Like the recorder it is never destroyed.
class Poller {
public:
    /// The context of the current device, made when first asked for; null where that fails.
    Context* context(Recorder& recorder) noexcept {
        int device = 0;
        if (cudaGetDevice(&device) != cudaSuccess || device < 0 || device >= max_devices) return nullptr;
        Context* known = contexts_[device].load(std::memory_order_acquire);
        // After a fork the parent's contexts are of no use to the child: CUDA itself does not survive a fork.
        if (known != nullptr) return owner_ == getpid() ? known : nullptr;
        return start(device, recorder);
    }

    /// Waits until the devices have finished and all that they logged is in the trace.
    void finish() noexcept {
        int before = 0;
        const bool known = cudaGetDevice(&before) == cudaSuccess;
        for (int device = 0; device < max_devices; ++device) {
            if (contexts_[device].load(std::memory_order_acquire) == nullptr) continue;
            if (cudaSetDevice(device) == cudaSuccess) (void)cudaDeviceSynchronize();
        }
        if (known) (void)cudaSetDevice(before);
        drain(true);
    }

    /// Of all devices; see `waited_ns` below.
    u64 waited_ns() noexcept {
        u64 sum = 0;
        for (int device = 0; device < max_devices; ++device) {
            const Context* context = contexts_[device].load(std::memory_order_acquire);
            if (context != nullptr) sum += context->waited_ns();
        }
        return sum;
    }

private:
    Context* start(int device, Recorder& recorder) noexcept {
        const std::lock_guard<std::mutex> lock(start_);
        Context* context = contexts_[device].load(std::memory_order_acquire);
        if (context != nullptr) return context;
        if (failed_[device]) return nullptr;
        context = Context::create(recorder.values());
        void* memory = context == nullptr ? nullptr : std::malloc(sizeof(Reader));
        if (memory == nullptr) {
            failed_[device] = true;
            return nullptr;
        }
        readers_[device].store(new (memory) Reader(*context, recorder), std::memory_order_release);
        if (owner_ == 0 && !start_thread()) {
            failed_[device] = true;
            return nullptr;
        }
        contexts_[device].store(context, std::memory_order_release);
        return context;
    }

    bool start_thread() noexcept {
        owner_ = getpid();
        try {
            std::thread([this] { poll(); }).detach();
        } catch (...) {
            return false;
        }
        // After CUDA's own exit handler was registered, so that ours runs before it unmaps the rings.
        (void)std::atexit([] { instance().at_exit(); });
        return true;
    }

    void poll() noexcept {
        const struct timespec pause = {0, 50000};
        while (!stopping_.load(std::memory_order_acquire)) {
            if (drain(false) == 0) nanosleep(&pause, nullptr);
        }
    }

    /// What the engine left running may still log for a moment; it is not waited for if it does not.
    void at_exit() noexcept {
        stopping_.store(true, std::memory_order_release);
        const struct timespec pause = {0, 1000000};
        for (int quiet = 0, tries = 0; quiet < 3 && tries < 1000; ++tries) {
            quiet = drain(false) == 0 ? quiet + 1 : 0;
            nanosleep(&pause, nullptr);
        }
        drain(true);
    }

    std::size_t drain(bool last_chance) noexcept {
        const std::lock_guard<std::mutex> lock(reading_);
        std::size_t records = 0;
        for (int device = 0; device < max_devices; ++device) {
            Reader* reader = readers_[device].load(std::memory_order_acquire);
            if (reader != nullptr) records += reader->drain(last_chance);
        }
        return records;
    }

public:
    static Poller& instance() noexcept {
        static Poller* poller = new (std::nothrow) Poller;
        return *poller;
    }

private:
    std::atomic<Context*> contexts_[max_devices] = {};
    std::atomic<Reader*> readers_[max_devices] = {};
    bool failed_[max_devices] = {};
    std::atomic<bool> stopping_{false};
    std::mutex start_;
    std::mutex reading_;
    pid_t owner_ = 0;
};

}  // namespace impl

/// Waits for the devices and returns when all that they logged is on the disk. The only call here that synchronises.
inline Status flush() noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    const Quiet quiet;
    impl::Poller::instance().finish();
    return recorder->flush();
}

/// Nanoseconds that passes have waited at their ends for the host to catch up, which they do with `ORCH_LOG_CUDA_WAIT` alone.
inline std::uint64_t waited_ns() noexcept { return global() == nullptr ? 0 : impl::Poller::instance().waited_ns(); }

}  // namespace cuda
}  // namespace orch_log

#endif
