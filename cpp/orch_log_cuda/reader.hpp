// The host's end of the ring: takes records out and writes them to the trace.
#ifndef ORCH_LOG_CUDA_READER_HPP
#define ORCH_LOG_CUDA_READER_HPP

#include <chrono>
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
        report_losses();
        const std::size_t written = drain_ring(last_chance);
        tell_of_payloads(last_chance);
        return written;
    }

    /// Writes what has arrived from a context that nothing more comes from, and counts what was launched and never came.
    void end() noexcept {
        do {
            while (drain(true) > 0) {
            }
        } while (step_over_a_gap());
        const u64 launched = context_.launched.load(std::memory_order_relaxed);
        // How often a graph was replayed only the engine knows.
        if (launched > next_ && !context_.has_captured.load(std::memory_order_relaxed)) recorder_.count_lost(launched - next_, Status::never_arrived);
        // Tensors of a pass that did not end.
        recorder_.count_lost(context_.put_off.exchange(0, std::memory_order_relaxed), Status::no_end);
        recorder_.tell_losses();
    }

    /// Begins at the ring's first record again.
    void restart() noexcept {
        next_ = 0;
        half_tries_ = 0;
        for (Pass& pass : passes_) pass = Pass();
    }

private:
    enum class Found { nothing, half, record };

    std::size_t drain_ring(bool last_chance) noexcept {
        std::size_t written = 0;
        for (;;) {
            switch (read_next()) {
                case Found::nothing: return written;
                case Found::half:
                    // The parts of a slot arrive within microseconds; one that stays broken was given up by its device.
                    if (!last_chance && ++half_tries_ < 1000000) return written;
                    recorder_.count_lost(1, Status::never_arrived);
                    break;
                case Found::record:
                    if (!write(last_chance)) return written;
                    ++written;
                    break;
            }
            half_tries_ = 0;
            ++next_;
            __atomic_store_n(context_.read(), next_, __ATOMIC_RELAXED);
        }
    }

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
            recorder_.count_lost(target - next_, Status::overtaken);
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

    /// Goes on behind a record whose number was drawn and that was never written, since its kernel came to an end before.
    bool step_over_a_gap() noexcept {
        for (u64 number = next_ + 1; number < next_ + context_.ring().slot_count; ++number) {
            if (sequence(number) != number + 1) continue;
            recorder_.count_lost(number - next_, Status::never_arrived);
            next_ = number;
            return true;
        }
        return false;
    }

    /// Once: a device that laps us again while we look will be met at the next call.
    Found read_next_again() noexcept { return sequence(next_) == next_ + 1 ? read_next() : Found::nothing; }

    const Slot& header() const noexcept { return *reinterpret_cast<const Slot*>(image_); }

    /// False when the record has to wait for its payload.
    bool write(bool last_chance) noexcept {
        const Slot& slot = header();
        const Site& site = *context_.sites().get(slot.site);
        Event event = site.event;
        event.token_idx_ = slot.token_idx;
        const u64 n_tokens = slot.n_tokens & 0xffffffffu;
        const u64 said_step = (slot.n_tokens & ~Sites::is_counted) >> 32;  // see `Sites::step_bits`
        if (n_tokens > 0) event.n_tokens(n_tokens);
        if (said_step > 0) event.step(said_step - 1);
        // Only what travels with the record decides: the trace does not depend on when it is read. Where passes have been ended before
        // this one, it is a pass, whether or not the engine said so.
        if (!event.has_step_ && (slot.step > 0 || (slot.n_tokens & Sites::is_counted) != 0)) event.step(slot.step);
        detail::PayloadPlace place;
        const bool has_payload = slot.payload_offset != no_payload && recorder_.wants(event.checkpoint(), slot.token_idx, n_tokens > 0 ? n_tokens : 1);
        if (has_payload) {
            Status reason = Status::undelivered;
            const PayloadState state = find_payload(slot, site, place, reason);
            if (state == PayloadState::coming && !last_chance && !is_pressed()) return false;
            if (state != PayloadState::here) {
                place = detail::PayloadPlace();
                lose_payloads(1, reason, passes_[lane_of(slot)].error);
            }
        }
        Shape shape;
        for (u32 axis = 0; axis < slot.axes && axis < slot_axes; ++axis) shape.push(static_cast<std::size_t>(slot.shape[axis]));
        event.shape(shape);
        const detail::RawView first = detail::make_view(image_ + sizeof(Slot) / 4, site.type, Shape{slot.first}, nullptr);
        (void)recorder_.log_summarised(event, first, summary(slot), place.nbytes > 0 ? &place : nullptr);
        return true;
    }

    enum class PayloadState { coming, here, gone };

    /// Whether so much lies behind record `next_` that it cannot wait: else an engine that ends no pass would lose its records too.
    bool is_pressed() const noexcept {
        const u64 ahead = next_ + context_.ring().slot_count / 16 * 15;
        return sequence(ahead) > ahead;
    }

    /// What became of the snapshots that one pass of a lane brought: all of them are written at once when the first record asks for
    /// its payload, since the device may need the buffer again.
    struct Pass {
        u64 number = 0;  ///< Counted from 1; 0 = none so far.
        detail::PayloadPlace place;
        Status status = Status::payload_overtaken;  ///< `written`, or why it is not.
        int error = 0;
    };

    static u32 lane_of(const Slot& slot) noexcept { return static_cast<u32>(slot.payload_offset >> 48) % Context::max_lanes; }

    /// `reason`: why it is gone.
    PayloadState find_payload(const Slot& slot, const Site& site, detail::PayloadPlace& place, Status& reason) noexcept {
        const u32 index = lane_of(slot);
        const Lane* lane = context_.lane_at(index);
        const Buffers* all = lane == nullptr ? nullptr : lane->buffers.load(std::memory_order_acquire);
        if (all == nullptr) {
            const bool comes = lane == nullptr || !lane->is_undeliverable.load(std::memory_order_relaxed);
            return comes ? PayloadState::coming : (reason = Status::device_failed, PayloadState::gone);
        }
        Pass& pass = passes_[index];
        if (pass.number != slot.payload_pass + 1) {
            const Buffers* buffers = find_buffers(all, slot.payload_pass);
            if (buffers == nullptr) {
                // One that has come later says that this one has come, too, and may have come just now.
                if (!is_overtaken(all, slot.payload_pass)) return PayloadState::coming;
                buffers = find_buffers(all, slot.payload_pass);
            }
            release(all, pass.number, slot.payload_pass);
            pass = Pass();
            pass.number = slot.payload_pass + 1;
            if (buffers != nullptr) {
                pass.status = recorder_.write_block(buffers->of_pass(slot.payload_pass), buffers->nbytes(slot.payload_pass), pass.place, pass.error);
                // What was written over while it was read is not whole.
                if (pass.status == Status::written && buffers->held(slot.payload_pass) != slot.payload_pass + 1) pass.status = Status::payload_overtaken;
            }
            release(all, slot.payload_pass, slot.payload_pass + 1);
        }
        if (pass.status != Status::written) return reason = pass.status, PayloadState::gone;
        const u64 offset = slot.payload_offset & ((1ull << 48) - 1);
        const u64 nbytes = slot.n * size_bytes(site.type);
        if (offset + nbytes > pass.place.nbytes) return reason = Status::device_failed, PayloadState::gone;  // no buffers large enough
        place.file = pass.place.file;
        place.offset = pass.place.offset + offset;
        place.nbytes = nbytes;
        return PayloadState::here;
    }

    static const Buffers* find_buffers(const Buffers* buffers, u64 pass) noexcept {
        while (buffers != nullptr && buffers->held(pass) != pass + 1) buffers = buffers->older;
        return buffers;
    }

    /// Whether a later pass than this one has been delivered.
    static bool is_overtaken(const Buffers* buffers, u64 pass) noexcept {
        for (; buffers != nullptr; buffers = buffers->older) {
            for (u32 other = 0; other < buffers->count; ++other) {
                if (buffers->held(other) > pass + 1) return true;
            }
        }
        return false;
    }

    /// Lets the device have the buffers of the passes from `from` up to, not including, `to`.
    static void release(const Buffers* buffers, u64 from, u64 to) noexcept {
        for (; buffers != nullptr; buffers = buffers->older) {
            for (u64 pass = to > from + buffers->count ? to - buffers->count : from; pass < to; ++pass) {
                __atomic_store_n(buffers->taken() + pass % buffers->count, pass + 1, __ATOMIC_RELEASE);
            }
        }
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

    void lose_payloads(std::uint64_t payloads, Status reason, int error = 0) noexcept {
        recorder_.count_lost_payloads(payloads, reason, error);
        untold_ += payloads;
    }

    void report_losses() noexcept {
        recorder_.count_lost(context_.records_lost.exchange(0, std::memory_order_relaxed), Status::device_failed);
        lose_payloads(context_.payloads_lost.exchange(0, std::memory_order_relaxed), Status::no_snapshot);
        lose_payloads(context_.payloads_undeliverable.exchange(0, std::memory_order_relaxed), Status::device_failed);
    }

    /// Lost payloads come in bursts, and a line for each would fill the trace: of all but the first it is told once a second at most.
    void tell_of_payloads(bool last_chance) noexcept {
        if (untold_ == 0) return;
        const auto now = std::chrono::steady_clock::now();
        if (!last_chance && has_told_ && now - told_ < std::chrono::seconds(1)) return;
        recorder_.tell_of_payloads(untold_);
        untold_ = 0;
        has_told_ = true;
        told_ = now;
    }

    Context& context_;
    Recorder& recorder_;
    u64 next_ = 0;
    u32 half_tries_ = 0;
    std::uint64_t untold_ = 0;  ///< Lost payloads that the trace does not tell of yet.
    bool has_told_ = false;
    std::chrono::steady_clock::time_point told_;
    Pass passes_[Context::max_lanes];
    alignas(8) u32 image_[(sizeof(Slot) + max_first * 8) / 4] = {};
};

}  // namespace cuda
}  // namespace orch_log

#endif
