// The ring, counters and lanes of one device.
#ifndef ORCH_LOG_CUDA_CONTEXT_HPP
#define ORCH_LOG_CUDA_CONTEXT_HPP

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include <cuda_runtime_api.h>

#include "lane.hpp"
#include "settings.hpp"
#include "sites.hpp"

namespace orch_log {
namespace cuda {

/// One device. Made at the first record from it, never destroyed: graphs may be replayed until the process ends.
class Context {
public:
    /// Of the current device. Null where it has no memory for it. Not synchronising: memory is cleared in a stream of its own.
    static Context* create(std::uint64_t values) noexcept {
        void* memory = std::malloc(sizeof(Context));
        if (memory == nullptr) return nullptr;
        Context* context = new (memory) Context;
        context->settings_ = impl::device_settings_from_env();
        context->values_ = static_cast<u32>(values < max_first ? values : max_first);
        if (context->allocate()) return context;
        std::free(memory);
        return nullptr;
    }

    const DeviceSettings& settings() const noexcept { return settings_; }
    const Ring& ring() const noexcept { return ring_; }
    /// The ring as the host sees it.
    const unsigned char* slots() const noexcept { return slots_; }
    u64* step() const noexcept { return step_; }
    /// Records that the host has read: mapped, for the device to see.
    u64* read() const noexcept { return mailbox_; }
    /// Nanoseconds that passes of a lane have waited for the host: mapped, for the host to see.
    u64* waited(const Lane& lane) const noexcept { return mailbox_ + 1 + lane.index; }
    /// The same of all lanes.
    u64 waited_ns() const noexcept {
        u64 sum = 0;
        for (u32 i = 0; i < max_lanes; ++i) sum += __atomic_load_n(mailbox_ + 1 + i, __ATOMIC_RELAXED);
        return sum;
    }
    u32 values() const noexcept { return values_; }
    Sites& sites() noexcept { return sites_; }
    std::mutex& mutex() noexcept { return mutex_; }

    /// The lane of a stream, or of the capture that it is in; null without memory. `mutex()` is held.
    Lane* lane(cudaStream_t stream, unsigned long long capture) noexcept {
        const u32 count = lane_count_.load(std::memory_order_relaxed);
        for (u32 i = count; i-- > 0;) {
            if (lanes_[i].stream == stream && lanes_[i].capture == capture) return &lanes_[i];
        }
        if (count == max_lanes) return nullptr;
        Lane& lane = lanes_[count];
        lane.stream = stream;
        lane.capture = capture;
        lane.index = count;
        void* scratch = nullptr;
        if (cudaMalloc(&scratch, scratch_bytes) != cudaSuccess) return nullptr;
        u8* tail = static_cast<u8*>(scratch) + sizeof(Partial) * max_blocks;
        if (!clear(tail, counter_bytes)) return nullptr;
        lane.scratch.partials = static_cast<Partial*>(scratch);
        lane.scratch.ticket = reinterpret_cast<u32*>(tail);
        lane.deliver_ticket = reinterpret_cast<u32*>(tail + 64);
        lane.pass = reinterpret_cast<u64*>(tail + 128);
        lane.scratch.batch = reinterpret_cast<BatchState*>(tail + 192);
        lane_count_.store(count + 1, std::memory_order_release);
        return &lane;
    }

    /// Buffers for passes of up to `nbytes`: those of the lane, or larger ones; null without memory. `mutex()` is held.
    Buffers* buffers_for(Lane& lane, std::uint64_t nbytes) noexcept {
        Buffers* known = lane.buffers.load(std::memory_order_relaxed);
        if (known != nullptr && known->bytes >= nbytes) return known;
        // Half as much again: passes of a growing context need a little more each time. Of the memory that is left a lane takes half.
        const std::uint64_t bytes = (nbytes + nbytes / 2 + 4095) & ~std::uint64_t{4095};
        const std::uint64_t left = settings_.buffer_bytes > buffers_used_ ? settings_.buffer_bytes - buffers_used_ : 0;
        const std::uint64_t wanted = left / 2 / bytes;
        const u32 count = wanted < 4 ? 4 : wanted > 256 ? 256 : static_cast<u32>(wanted);
        void* memory = nullptr;
        void* words = nullptr;
        void* made = std::malloc(sizeof(Buffers));
        if (made == nullptr || cudaHostAlloc(&memory, bytes * count, cudaHostAllocMapped | cudaHostAllocPortable) != cudaSuccess ||
            cudaHostAlloc(&words, 24 * std::size_t{count}, cudaHostAllocMapped | cudaHostAllocPortable) != cudaSuccess) {
            std::free(made);
            return nullptr;
        }
        std::memset(words, 0, 24 * std::size_t{count});
        buffers_used_ += bytes * count;
        u64* headers = static_cast<u64*>(words);
        Buffers* buffers = new (made) Buffers{static_cast<u8*>(memory), bytes, count, headers, headers + 2 * std::size_t{count}, known};
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

    /// Set once somebody counts passes, so that records say which one they belong to.
    std::atomic<bool> counts_steps{false};
    /// Payloads that no snapshot could be taken of.
    std::atomic<std::uint64_t> payloads_lost{0};
    /// Tensors that could not be launched for.
    std::atomic<std::uint64_t> launches_failed{0};

    static constexpr u32 max_lanes = 1024;

private:
    Context() noexcept = default;

    bool allocate() noexcept {
        void* host = nullptr;
        void* mapped = nullptr;
        void* counters = nullptr;
        void* mailbox = nullptr;
        ring_.slot_count = settings_.slots;
        ring_.slot_bytes = (image_bytes(values_, 8) + 63u) & ~63u;
        const std::size_t bytes = std::size_t{ring_.slot_count} * ring_.slot_bytes;
        if (cudaStreamCreateWithFlags(&own_stream_, cudaStreamNonBlocking) != cudaSuccess) return false;
        if (cudaHostAlloc(&host, bytes, cudaHostAllocMapped | cudaHostAllocPortable) != cudaSuccess) return false;
        std::memset(host, 0, bytes);
        if (cudaHostGetDevicePointer(&mapped, host, 0) != cudaSuccess) return false;
        if (cudaHostAlloc(&mailbox, mailbox_bytes, cudaHostAllocMapped | cudaHostAllocPortable) != cudaSuccess) return false;
        std::memset(mailbox, 0, mailbox_bytes);
        mailbox_ = static_cast<u64*>(mailbox);
        if (cudaMalloc(&counters, 256) != cudaSuccess || !clear(counters, 256)) return false;
        slots_ = static_cast<unsigned char*>(host);
        ring_.slots = static_cast<u8*>(mapped);
        ring_.ticket = static_cast<u64*>(counters);
        step_ = static_cast<u64*>(counters) + 16;
        ring_.step = step_;
        return true;
    }

    u32 values_ = 0;
    DeviceSettings settings_;
    Ring ring_ = {};
    unsigned char* slots_ = nullptr;
    u64* step_ = nullptr;
    static constexpr std::size_t mailbox_bytes = 8 * (1 + std::size_t{max_lanes});
    u64* mailbox_ = nullptr;
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
