// The thread that empties the rings of all devices.
#ifndef ORCH_LOG_CUDA_POLLER_HPP
#define ORCH_LOG_CUDA_POLLER_HPP

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <signal.h>
#include <thread>
#include <time.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#include "../orch_log/global.hpp"
#include "context.hpp"
#include "driver.hpp"
#include "quiet.hpp"
#include "reader.hpp"

namespace orch_log {
namespace cuda {
namespace impl {

/// CUDA contexts of one process that can be logged from.
constexpr int max_contexts = 64;

/// All contexts and the thread that reads them. Like the recorder it is never destroyed.
class Poller {
public:
    /// What is logged from a CUDA context, which is current, made when first asked for; null where that fails. `owner` is null where
    /// the driver cannot tell contexts apart: then each device has one.
    Context* context(Recorder& recorder, CUctx_st* owner) noexcept {
        int device = 0;
        if (owner == nullptr && cudaGetDevice(&device) != cudaSuccess) return nullptr;
        if (Place* place = find(owner, device)) {
            Context* known = place->context.load(std::memory_order_acquire);
            if (!known->is_usable()) return nullptr;
            switch (known->is_alive()) {
                case Mapped::Known::yes: return known;
                case Mapped::Known::no: return renew(*place);
                case Mapped::Known::unclear: return nullptr;
            }
        }
        return start(recorder, owner);
    }

    /// The same without asking whether it is still there, for what touches nothing of the device's; null where it has to be asked.
    Context* known_context(CUctx_st* owner) noexcept {
        if (owner == nullptr) return nullptr;
        Place* place = find(owner, 0);
        Context* known = place == nullptr ? nullptr : place->context.load(std::memory_order_acquire);
        return known != nullptr && known->is_usable() && known->has_same_number() ? known : nullptr;
    }

    /// Whether a context reads what is logged at the end of a pass.
    bool has_side() const noexcept { return has_side_.load(std::memory_order_relaxed); }

    /// False in a child of a process that has logged from a device: CUDA does not survive a fork.
    bool may_log() const noexcept {
        const pid_t process = owner_.load(std::memory_order_relaxed);
        return process == 0 || process == getpid();
    }

    /// Waits until the devices have finished and all that they logged is in the trace.
    void finish() noexcept {
        if (!is_parent()) return;
        for (Place& place : places_) {
            const Context* context = place.context.load(std::memory_order_acquire);
            if (context == nullptr) break;
            synchronize(*context);
        }
        drain(true);
    }

    /// Of all devices; see `waited_ns` below.
    u64 waited_ns() noexcept {
        if (!is_parent()) return 0;
        u64 sum = 0;
        for (Place& place : places_) {
            const Context* context = place.context.load(std::memory_order_acquire);
            if (context != nullptr) sum += context->waited_ns();
        }
        return sum;
    }

private:
    struct Place {
        std::atomic<Context*> context{nullptr};
        std::atomic<Reader*> reader{nullptr};
    };

    /// False in a child: it has neither CUDA nor the memory that is shared with the device, and locks may be held that nobody frees.
    bool is_parent() const noexcept { return owner_.load(std::memory_order_relaxed) == getpid(); }

    Place* find(CUctx_st* owner, int device) noexcept {
        for (Place& place : places_) {
            const Context* context = place.context.load(std::memory_order_acquire);
            if (context == nullptr) return nullptr;
            if (context->owner == owner && (owner != nullptr || context->device == device)) return &place;
        }
        return nullptr;
    }

    Context* start(Recorder& recorder, CUctx_st* owner) noexcept {
        const std::lock_guard<std::mutex> lock(start_);
        int device = 0;
        // While a crashed kernel lets every call fail nothing is decided: the engine may reset the device.
        if (cudaGetDevice(&device) != cudaSuccess || cudaFree(nullptr) != cudaSuccess) return nullptr;
        if (Place* place = find(owner, device)) return place->context.load(std::memory_order_acquire);
        for (const Failed& failed : failed_) {
            if (failed.is_set && failed.owner == owner && failed.device == device) return nullptr;
        }
        for (Place& place : places_) {
            if (place.context.load(std::memory_order_acquire) != nullptr) continue;
            Context* context = make(place, recorder, owner);
            if (context == nullptr) break;
            context->device = device;
            place.context.store(context, std::memory_order_release);
            return context;
        }
        Failed& failed = failed_[failures_++ % max_contexts];
        failed = {true, owner, device};
        return nullptr;
    }

    Context* make(Place& place, Recorder& recorder, CUctx_st* owner) noexcept {
        orch_log::detail::Problems problems;
        const DeviceSettings settings = device_settings_from_env(problems);
        if (!has_complained_) orch_log::detail::complain(problems);
        has_complained_ = true;
        Context* context = Context::create(recorder.values(), settings, owner);
        void* memory = context == nullptr ? nullptr : std::malloc(sizeof(Reader));
        if (memory == nullptr || !start_thread()) return nullptr;
        if (settings.mode == Mode::side) has_side_.store(true, std::memory_order_relaxed);
        place.reader.store(new (memory) Reader(*context, recorder), std::memory_order_release);
        return context;
    }

    /// The engine has reset the device: what had arrived is written, and the context begins anew.
    Context* renew(Place& place) noexcept {
        const std::lock_guard<std::mutex> lock(start_);
        Context* context = place.context.load(std::memory_order_acquire);
        if (!context->is_usable()) return nullptr;
        if (context->is_alive() != Mapped::Known::no) return context;  // another thread has been here
        const std::lock_guard<std::mutex> reading(reading_);
        Reader* reader = place.reader.load(std::memory_order_acquire);
        reader->end();
        const bool is_new = context->renew();
        reader->restart();
        return is_new ? context : nullptr;
    }

    void synchronize(const Context& context) noexcept {
        CUctx_st* owner = context.owner;
        if (owner != nullptr && context.is_alive() == Mapped::Known::yes) {
            const Entered entered(owner);
            (void)cudaDeviceSynchronize();
            return;
        }
        int before = 0;
        if (owner != nullptr || cudaGetDevice(&before) != cudaSuccess) return;  // of a context that is gone nothing more comes
        if (cudaSetDevice(context.device) == cudaSuccess) (void)cudaDeviceSynchronize();
        (void)cudaSetDevice(before);
    }

    bool start_thread() noexcept {
        if (is_parent()) return true;
        // The engine's signals are not for our thread.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        const bool is_masked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
        bool started = true;
        try {
            std::thread([this] { poll(); }).detach();
        } catch (...) {
            started = false;
        }
        if (is_masked) (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (!started) return false;
        owner_.store(getpid(), std::memory_order_relaxed);
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
        if (!is_parent()) return;
        stopping_.store(true, std::memory_order_release);
        const struct timespec pause = {0, 1000000};
        for (int quiet = 0, tries = 0; quiet < 3 && tries < 1000; ++tries) {
            quiet = drain(false) == 0 ? quiet + 1 : 0;
            nanosleep(&pause, nullptr);
        }
        const std::lock_guard<std::mutex> lock(reading_);
        for (Place& place : places_) {
            Reader* reader = place.reader.load(std::memory_order_acquire);
            if (reader != nullptr) reader->end();
        }
    }

    std::size_t drain(bool last_chance) noexcept {
        const std::lock_guard<std::mutex> lock(reading_);
        std::size_t records = 0;
        for (Place& place : places_) {
            Reader* reader = place.reader.load(std::memory_order_acquire);
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
    /// A context that could not be had: it is not tried again with every tensor.
    struct Failed {
        bool is_set;
        CUctx_st* owner;
        int device;
    };

    Place places_[max_contexts];
    Failed failed_[max_contexts] = {};
    std::size_t failures_ = 0;
    bool has_complained_ = false;
    std::atomic<bool> has_side_{false};
    std::atomic<bool> stopping_{false};
    std::mutex start_;
    std::mutex reading_;
    std::atomic<pid_t> owner_{0};
};

}  // namespace impl

/// Waits for the devices and returns when all that they logged is on the disk. The only call here that synchronises.
inline Status flush() noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    if (impl::Poller::instance().may_log()) {
        const Quiet quiet;
        impl::Poller::instance().finish();
    }
    return recorder->flush();
}

/// Nanoseconds that passes have waited at their ends for the host to catch up, which they do with `ORCH_LOG_CUDA_WAIT` alone.
inline std::uint64_t waited_ns() noexcept { return global() == nullptr ? 0 : impl::Poller::instance().waited_ns(); }

}  // namespace cuda
}  // namespace orch_log

#endif
