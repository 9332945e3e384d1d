// The ring, counters and lanes of one device.
#ifndef ORCH_LOG_CUDA_CONTEXT_HPP
#define ORCH_LOG_CUDA_CONTEXT_HPP

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string_view>

#include <cuda_runtime_api.h>

#include "../orch_log/filter.hpp"
#include "driver.hpp"
#include "lane.hpp"
#include "mapped.hpp"
#include "settings.hpp"
#include "sites.hpp"

namespace orch_log {
namespace cuda {

namespace impl {

/// Whether the engine has said that it ends its passes.
inline std::atomic<bool> counts_steps{false};

}  // namespace impl

/// Says that the engine ends each of its passes with `ORCH_LOG_CUDA_STEP`: every tensor that is logged from now on says which pass it
/// belongs to, the first as step 0. Costs a store, and may be called as often as one likes, before there is a device too.
///
/// Without it a record cannot know whether its pass will be ended: those of the first pass say no step, all later ones do.
inline void count_steps() noexcept { impl::counts_steps.store(true, std::memory_order_relaxed); }

/// One CUDA context. Made at the first record from it, never destroyed: graphs may be replayed until the process ends. When the engine
/// has reset its device, the next record renews it.
class Context {
public:
    /// Of the current context. Null where it has no memory for it, and says so. Not synchronising: memory is cleared in a stream of
    /// its own.
    static Context* create(std::uint64_t values, const DeviceSettings& settings, CUctx_st* owner = nullptr) noexcept {
        void* memory = std::malloc(sizeof(Context));
        if (memory == nullptr) return nullptr;
        Context* context = new (memory) Context;
        context->settings_ = settings;
        context->owner = owner;
        context->values_ = static_cast<u32>(values < max_first ? values : max_first);
        if (context->open()) return context;
        context->shared_.release();
        std::free(memory);
        return nullptr;
    }

    /// Begins anew in the context that has taken the place of the one before, whose streams and memory on the device are gone.
    /// Nobody reads what it logged any more. False where that has no memory for it.
    bool renew() noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (u32 i = lane_count_.exchange(0, std::memory_order_acq_rel); i-- > 0;) {
            for (Buffers* buffers = lanes_[i].buffers.load(std::memory_order_relaxed); buffers != nullptr;) {
                Buffers* older = buffers->older;
                buffers->memory.release();
                std::free(static_cast<void*>(buffers));
                buffers = older;
            }
            lanes_[i].~Lane();
            new (&lanes_[i]) Lane;
        }
        buffers_used_ = 0;
        put_off.store(0, std::memory_order_relaxed);
        for (std::atomic<std::uint64_t>& known : known_pieces_) known.store(0, std::memory_order_relaxed);
        is_usable_.store(false, std::memory_order_relaxed);
        launched.store(0, std::memory_order_relaxed);
        has_captured.store(false, std::memory_order_relaxed);
        return open();
    }

    /// False where it could not be renewed.
    bool is_usable() const noexcept { return is_usable_.load(std::memory_order_relaxed); }
    /// Whether the driver has given the context's address to another one since: half of what `is_alive` asks, enough for what touches
    /// nothing of the device's.
    bool has_same_number() const noexcept { return impl::Driver::instance().id_of(owner) == id_; }
    /// `no` once the context is gone: reset, or destroyed.
    Mapped::Known is_alive() const noexcept {
        const Mapped::Known known = shared_.is_known();
        return known == Mapped::Known::yes && !has_same_number() ? Mapped::Known::no : known;
    }

    const DeviceSettings& settings() const noexcept { return settings_; }
    const Ring& ring() const noexcept { return ring_; }
    /// The ring as the host sees it.
    const unsigned char* slots() const noexcept { return shared_.host(); }
    u64* step() const noexcept { return step_; }
    /// Whether the device can read what lies at an address, as far as CUDA knows. The device's own memory is remembered: engines log the
    /// same buffers over and over, and to ask costs as much as all the other calls of a record.
    bool can_read(const void* pointer) noexcept {
        if (is_known(pointer)) return true;
        cudaPointerAttributes attributes;
        if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) return true;
        // Host memory, of which some may be read and what lies beside it not, is asked for anew.
        if (attributes.type == cudaMemoryTypeDevice) known_pieces_[piece_of(pointer) % known_count].store(piece_of(pointer), std::memory_order_relaxed);
        return attributes.type != cudaMemoryTypeUnregistered;
    }
    /// Whether it can without asking.
    bool is_known(const void* pointer) const noexcept {
        return reads_host_ || known_pieces_[piece_of(pointer) % known_count].load(std::memory_order_relaxed) == piece_of(pointer);
    }
    /// Records that the host has read, for the device to see.
    u64* read() const noexcept { return mailbox(shared_.host()); }
    const u64* device_read() const noexcept { return mailbox(shared_.device()); }
    /// Nanoseconds that passes of a lane have waited for the host, written by the device.
    u64* device_waited(const Lane& lane) const noexcept { return mailbox(shared_.device()) + 1 + lane.index; }
    /// The same of all lanes.
    u64 waited_ns() const noexcept {
        u64 sum = 0;
        for (u32 i = 0; i < max_lanes; ++i) sum += __atomic_load_n(mailbox(shared_.host()) + 1 + i, __ATOMIC_RELAXED);
        return sum;
    }
    /// First elements that a record carries: of the token ids all, as far as there is room.
    u32 values_of(std::string_view checkpoint) const noexcept {
        if (checkpoint != orch_log::detail::tokens_checkpoint) return values_;
        const u32 room = (ring_.slot_bytes - static_cast<u32>(sizeof(Slot))) / 8;
        return room < max_first ? room : max_first;
    }
    Sites& sites() noexcept { return sites_; }
    std::mutex& mutex() noexcept { return mutex_; }

    /// The lane of a stream, or of the capture that it is in, if there is one. `mutex()` is held.
    Lane* known_lane(cudaStream_t stream, unsigned long long capture) noexcept {
        const u64 thread = thread_of(stream);
        for (u32 i = lane_count_.load(std::memory_order_relaxed); i-- > 0;) {
            if (lanes_[i].stream == stream && lanes_[i].thread == thread && lanes_[i].capture == capture) return &lanes_[i];
        }
        return nullptr;
    }

    /// The same, made where there is none; null without memory.
    Lane* lane(cudaStream_t stream, unsigned long long capture) noexcept {
        if (Lane* known = known_lane(stream, capture)) return known;
        const u32 count = lane_count_.load(std::memory_order_relaxed);
        const u64 thread = thread_of(stream);
        for (u32 i = 0; capture != 0 && i < count; ++i) {
            if (!lanes_[i].is_free()) continue;
            lanes_[i].begin_again(stream, thread, capture);
            return &lanes_[i];
        }
        if (count == max_lanes) return nullptr;
        Lane& lane = lanes_[count];
        lane.stream = stream;
        lane.thread = thread;
        lane.capture = capture;
        lane.index = count;
        void* scratch = nullptr;
        if (cudaMalloc(&scratch, scratch_bytes) != cudaSuccess) return nullptr;
        u8* tail = static_cast<u8*>(scratch) + sizeof(Partial) * max_blocks;
        if (!clear(tail, counter_bytes)) {
            (void)cudaFree(scratch);
            return nullptr;
        }
        lane.scratch.partials = static_cast<Partial*>(scratch);
        lane.scratch.ticket = reinterpret_cast<u32*>(tail);
        lane.deliver_ticket = reinterpret_cast<u32*>(tail + 64);
        lane.pass = reinterpret_cast<u64*>(tail + 128);
        lane.scratch.batch = reinterpret_cast<BatchState*>(tail + 192);
        lane_count_.store(count + 1, std::memory_order_release);
        return &lane;
    }

    /// Buffers for passes of up to `nbytes`: those of the lane, or larger ones; without memory for these the smaller ones, which hold
    /// what fits, or null. `mutex()` is held.
    Buffers* buffers_for(Lane& lane, std::uint64_t nbytes) noexcept {
        Buffers* known = lane.buffers.load(std::memory_order_relaxed);
        if (known != nullptr && (known->bytes >= nbytes || lane.cannot_grow)) return known;
        // Half as much again: passes of a growing context need a little more each time. Of the memory that is left a lane takes half.
        const std::uint64_t bytes = (nbytes + nbytes / 2 + 4095) & ~std::uint64_t{4095};
        const std::uint64_t left = settings_.buffer_bytes > buffers_used_ ? settings_.buffer_bytes - buffers_used_ : 0;
        const std::uint64_t wanted = left / 2 / bytes;
        u32 count = wanted < 4 ? 4 : wanted > 256 ? 256 : static_cast<u32>(wanted);
        void* made = std::malloc(sizeof(Buffers));
        if (made == nullptr) return no_larger_buffers(lane, Buffers::bytes_for(bytes, count), cudaErrorMemoryAllocation);
        Buffers* buffers = new (made) Buffers{Mapped(), bytes, count, known};
        cudaError_t error = buffers->memory.create(Buffers::bytes_for(bytes, count));
        if (error == cudaErrorMemoryAllocation && count > 4) {
            buffers->count = count = 4;
            error = buffers->memory.create(Buffers::bytes_for(bytes, count));
        }
        if (error != cudaSuccess) {
            std::free(made);
            return no_larger_buffers(lane, Buffers::bytes_for(bytes, count), error);
        }
        buffers_used_ += bytes * count;
        lane.buffers.store(buffers, std::memory_order_release);
        return buffers;
    }

    /// By the number that records carry.
    const Lane* lane_at(u32 index) const noexcept {
        return index < lane_count_.load(std::memory_order_acquire) ? &lanes_[index] : nullptr;
    }

    /// Zeros in device memory, without touching any stream of the engine.
    bool clear(void* memory, std::size_t size) noexcept {
        return cudaMemsetAsync(memory, 0, size, own_stream_) == cudaSuccess && cudaStreamSynchronize(own_stream_) == cudaSuccess;
    }

    /// Payloads that no snapshot could be taken of.
    std::atomic<std::uint64_t> payloads_lost{0};
    /// Payloads that there is no host memory for.
    std::atomic<std::uint64_t> payloads_undeliverable{0};
    /// Tensors that are to be read together with those that follow.
    std::atomic<std::uint64_t> put_off{0};
    /// Those that could then not be read.
    std::atomic<std::uint64_t> records_lost{0};
    /// Records that were launched for outside of graphs.
    std::atomic<std::uint64_t> launched{0};
    /// Set once something was captured: how often a graph is replayed is known to the engine alone.
    std::atomic<bool> has_captured{false};
    /// Whose this is, to the driver; null where it cannot tell contexts apart.
    std::atomic<CUctx_st*> owner{nullptr};
    int device = 0;

    static constexpr u32 max_lanes = 1024;

private:
    Context() noexcept = default;

    /// Which payloads are lost must not depend on when the host reads: those that are on their way still come, and of each later pass
    /// comes what fits.
    Buffers* no_larger_buffers(Lane& lane, std::size_t bytes, cudaError_t error) noexcept {
        Buffers* known = lane.buffers.load(std::memory_order_relaxed);
        lane.cannot_grow = true;
        if (known == nullptr) lane.is_undeliverable.store(true, std::memory_order_relaxed);
        tell_failure("payloads of tensors in GPU memory are not logged", "host memory cannot be registered", bytes, error);
        return known;
    }

    u64* mailbox(unsigned char* shared) const noexcept { return reinterpret_cast<u64*>(shared + ring_bytes()); }
    std::size_t ring_bytes() const noexcept { return std::size_t{ring_.slot_count} * ring_.slot_bytes; }

    /// Everything in the current context that a ring needs; memory that the host shares with the device stays where it is.
    bool open() noexcept {
        ring_.slot_count = settings_.slots;
        ring_.slot_bytes = (image_bytes(values_, 8) + 63u) & ~63u;
        const std::size_t bytes = ring_bytes() + mailbox_bytes;
        cudaError_t error = cudaStreamCreateWithFlags(&own_stream_, cudaStreamNonBlocking);
        if (error != cudaSuccess) return tell_failure(nothing_logged, "no stream can be made", 0, error), false;
        error = shared_.host() == nullptr ? shared_.create(bytes) : shared_.renew();
        if (error != cudaSuccess) return tell_failure(nothing_logged, "host memory cannot be registered", bytes, error), false;
        void* counters = nullptr;
        error = cudaMalloc(&counters, 256);
        if (error != cudaSuccess) return tell_failure(nothing_logged, "no memory on the device", 256, error), false;
        if (!clear(counters, 256)) return tell_failure(nothing_logged, "memory on the device cannot be cleared", 256, cudaPeekAtLastError()), false;
        ring_.slots = shared_.device();
        ring_.ticket = static_cast<u64*>(counters);
        step_ = static_cast<u64*>(counters) + 16;
        ring_.step = step_;
        int this_device = 0;
        int reads_host = 0;
        id_ = impl::Driver::instance().id_of(owner);
        reads_host_ = cudaGetDevice(&this_device) == cudaSuccess &&
                      cudaDeviceGetAttribute(&reads_host, cudaDevAttrPageableMemoryAccess, this_device) == cudaSuccess && reads_host != 0;
        is_usable_.store(true, std::memory_order_relaxed);
        return true;
    }

    /// CUDA hands out addresses of the device's in larger pieces than these 64 KiB. Counted from 1.
    static std::uint64_t piece_of(const void* pointer) noexcept { return (std::uint64_t{reinterpret_cast<std::uintptr_t>(pointer)} >> 16) + 1; }
    static constexpr std::size_t known_count = 1024;
    std::atomic<std::uint64_t> known_pieces_[known_count] = {};  ///< Of the device's memory.
    static constexpr const char* nothing_logged = "tensors in GPU memory are not logged";
    u32 values_ = 0;
    DeviceSettings settings_;
    Ring ring_ = {};
    std::atomic<bool> is_usable_{false};
    std::atomic<unsigned long long> id_{0};  ///< The driver's number of the context.
    bool reads_host_ = false;  ///< Whether the device reads all of the host's memory.
    Mapped shared_;  ///< The ring, then the mailbox.
    u64* step_ = nullptr;
    static constexpr std::size_t mailbox_bytes = 8 * (1 + std::size_t{max_lanes});
    std::uint64_t buffers_used_ = 0;
    cudaStream_t own_stream_ = nullptr;
    std::mutex mutex_;
    Lane lanes_[max_lanes];
    std::atomic<u32> lane_count_{0};
    Sites sites_;
};

}  // namespace cuda
}  // namespace orch_log

#endif
