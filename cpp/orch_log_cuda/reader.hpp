// The host's end of the ring: takes records out and writes them to the trace.
#ifndef ORCH_LOG_CUDA_READER_HPP
#define ORCH_LOG_CUDA_READER_HPP

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../orch_log/recorder.hpp"
#include "context.hpp"
#include "slot.cuh"

namespace orch_log {
namespace cuda {

/// Reads one context's ring. One thread at a time.
class Reader {
public:
    Reader(Context& context, Recorder& recorder) noexcept : context_(context), recorder_(recorder) {}

    /// Writes what has arrived, in the order in which the device logged; returns how many records came. With
    /// `last_chance`, records whose payload has not arrived are written without it, and broken slots are given up.
    std::size_t drain(bool last_chance) noexcept {
        std::size_t written = 0;
        report_losses();
        for (;;) {
            switch (read_next()) {
                case Found::nothing: return written;
                case Found::half:
                    // The parts of a slot arrive within microseconds; one that stays broken was given up by its device.
                    if (!last_chance && ++half_tries_ < 1000000) return written;
                    recorder_.count_lost(1, 0);
                    break;
                case Found::record:
                    if (!write(last_chance)) return written;
                    ++written;
                    break;
            }
            half_tries_ = 0;
            ++next_;
        }
    }

private:
    enum class Found { nothing, half, record };

    const unsigned char* slot(u64 number) const noexcept {
        const Ring& ring = context_.ring();
        return context_.slots() + (number & (ring.slot_count - 1)) * std::size_t{ring.slot_bytes};
    }

    u64 sequence(u64 number) const noexcept {
        return __atomic_load_n(reinterpret_cast<const u64*>(slot(number)), __ATOMIC_ACQUIRE);
    }

    /// Copies record `next_`, stepping over those that the device has written over.
    Found read_next() noexcept {
        const u64 found = sequence(next_);
        if (found <= next_) return Found::nothing;
        if (found > next_ + 1) {
            // A whole round ahead: what lies right behind the newest is about to be overwritten too.
            const u64 safe = found - 1 + context_.ring().slot_count / 8;
            const u64 oldest = safe > context_.ring().slot_count ? safe - context_.ring().slot_count : 0;
            const u64 target = oldest > next_ ? oldest : found - 1;
            recorder_.count_lost(target - next_, 0);
            next_ = target;
            return read_next_again();
        }
        std::memcpy(image_, slot(next_), sizeof(Slot));
        const Site* site = context_.sites().get(header().site);
        if (site == nullptr || header().first > max_first) return Found::half;
        const std::size_t size = size_bytes(site->type);
        const std::size_t words = image_bytes(header().first, static_cast<u32>(size)) / 4;
        if (words * 4 > context_.ring().slot_bytes) return Found::half;
        std::memcpy(image_ + sizeof(Slot) / 4, slot(next_) + sizeof(Slot), words * 4 - sizeof(Slot));
        const u32 claimed = image_[2];
        image_[2] = 0;
        u32 sum = 0;
        for (std::size_t i = 0; i < words; ++i) sum += checksum_part(image_[i], static_cast<u32>(i));
        image_[2] = claimed;
        if (sum != claimed || sequence(next_) != next_ + 1) return Found::half;
        return Found::record;
    }

    /// Once: a device that laps us again while we look will be met at the next call.
    Found read_next_again() noexcept { return sequence(next_) == next_ + 1 ? read_next() : Found::nothing; }

    const Slot& header() const noexcept { return *reinterpret_cast<const Slot*>(image_); }

    /// False when the record has to wait for its payload.
    bool write(bool last_chance) noexcept {
        const Slot& slot = header();
        const Site& site = *context_.sites().get(slot.site);
        detail::RawView payload;
        bool has_payload = false;
        if (slot.payload_offset != no_payload) {
            const PayloadState state = find_payload(slot, site, payload);
            if (state == PayloadState::coming && !last_chance) return false;
            has_payload = state == PayloadState::here;
            if (!has_payload) recorder_.count_lost(0, 1);
        }
        Event event = site.event;
        event.token_idx_ = slot.token_idx;
        if (slot.n_tokens > 0) event.n_tokens(slot.n_tokens);
        if (!event.has_step_ && context_.counts_steps.load(std::memory_order_relaxed)) event.step(slot.step);
        Shape shape;
        for (u32 axis = 0; axis < slot.axes && axis < slot_axes; ++axis) shape.push(static_cast<std::size_t>(slot.shape[axis]));
        event.shape(shape);
        const detail::RawView first = detail::make_view(image_ + sizeof(Slot) / 4, site.type, Shape{slot.first}, nullptr);
        (void)recorder_.log_summarised(event, first, summary(slot), has_payload ? &payload : nullptr,
                                       [&] { return still_held(slot); });
        return true;
    }

    enum class PayloadState { coming, here, gone };

    PayloadState find_payload(const Slot& slot, const Site& site, detail::RawView& view) const noexcept {
        const Lane* lane = context_.lane_at(static_cast<u32>(slot.payload_offset >> 48));
        if (lane == nullptr || lane->buffers == nullptr) return PayloadState::coming;
        const u32 buffer = static_cast<u32>(slot.payload_pass % Lane::buffer_count);
        const u64 held = held_by(*lane, buffer);
        if (held != slot.payload_pass + 1) {
            // Its buffer is being filled: by this pass, or, when a later one has been delivered already, by one that overtook it.
            for (u32 other = 0; other < Lane::buffer_count; ++other) {
                if (held_by(*lane, other) > slot.payload_pass + 1) return PayloadState::gone;
            }
            return PayloadState::coming;
        }
        const u64 offset = slot.payload_offset & ((1ull << 48) - 1);
        const std::size_t count = static_cast<std::size_t>(slot.n);
        if (offset + count * size_bytes(site.type) > lane->headers[2 * buffer + 1]) return PayloadState::gone;
        view = detail::make_view(lane->buffers + buffer * lane->buffer_bytes + offset, site.type, Shape{count}, nullptr);
        return PayloadState::here;
    }

    /// True while the buffer still holds the pass that the record belongs to: what was read from it is whole.
    bool still_held(const Slot& slot) const noexcept {
        const Lane* lane = context_.lane_at(static_cast<u32>(slot.payload_offset >> 48));
        return held_by(*lane, static_cast<u32>(slot.payload_pass % Lane::buffer_count)) == slot.payload_pass + 1;
    }

    static u64 held_by(const Lane& lane, u32 buffer) noexcept {
        return __atomic_load_n(lane.headers + 2 * buffer, __ATOMIC_ACQUIRE);
    }

    static detail::Summary summary(const Slot& slot) noexcept {
        detail::Summary summary;
        summary.stats.n = slot.n;
        summary.stats.nan = slot.nan;
        summary.stats.inf = slot.inf;
        summary.stats.zero = slot.zero;
        const u64 finite = slot.n - slot.nan - slot.inf;
        if (finite > 0) {
            summary.stats.min = slot.min + 0.0;  // -0.0 becomes 0.0
            summary.stats.max = slot.max + 0.0;
            summary.stats.mean = slot.sum / static_cast<double>(finite);
            summary.stats.rms = std::sqrt(slot.squares / static_cast<double>(finite));
        }
        for (std::size_t k = 0; k < projections; ++k) summary.sketch.s[k] = slot.sketch[k];
        return summary;
    }

    void report_losses() noexcept {
        const std::uint64_t payloads = context_.payloads_lost.exchange(0, std::memory_order_relaxed);
        const std::uint64_t launches = context_.launches_failed.exchange(0, std::memory_order_relaxed);
        if (payloads > 0) recorder_.count_lost(0, payloads);
        for (std::uint64_t i = 0; i < launches; ++i) (void)recorder_.refuse(Status::device_failed);
    }

    Context& context_;
    Recorder& recorder_;
    u64 next_ = 0;
    u32 half_tries_ = 0;
    alignas(8) u32 image_[(sizeof(Slot) + max_first * 8) / 4] = {};
};

}  // namespace cuda
}  // namespace orch_log

#endif
