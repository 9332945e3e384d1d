// Which logging call a record on the device came from: everything about it that does not change from pass to pass.
#ifndef ORCH_LOG_CUDA_SITES_HPP
#define ORCH_LOG_CUDA_SITES_HPP

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "../orch_log/event.hpp"
#include "../orch_log/view.hpp"

namespace orch_log {
namespace cuda {

/// A logging call: its event, with texts of its own, and the elements' type.
struct Site {
    Event event;
    Type type;
    std::uint32_t id;
    std::uint64_t hash;
    Site* next;
};

/// All logging calls so far. A site is added once and never removed; looking one up takes no lock and
/// allocates nothing.
class Sites {
public:
    /// The site of `event`, added if it is new; null without memory, or past `max_sites`.
    const Site* find_or_add(const Event& event, Type type) noexcept {
        const std::uint64_t hash = hash_of(event, type);
        std::atomic<Site*>& bucket = buckets_[hash % bucket_count];
        Site* fresh = nullptr;
        for (;;) {
            Site* head = bucket.load(std::memory_order_acquire);
            for (Site* site = head; site != nullptr; site = site->next) {
                if (site->hash == hash && site->type == type && same(site->event, event)) {
                    if (fresh != nullptr) retire(fresh);
                    return site;
                }
            }
            if (fresh == nullptr && (fresh = make(event, type, hash)) == nullptr) return nullptr;
            fresh->next = head;
            if (!bucket.compare_exchange_weak(head, fresh, std::memory_order_acq_rel)) continue;
            by_id_[fresh->id].store(fresh, std::memory_order_release);
            return fresh;
        }
    }

    /// The site that a record names; null for a number that no site has.
    const Site* get(std::uint32_t id) const noexcept {
        return id < max_sites ? by_id_[id].load(std::memory_order_acquire) : nullptr;
    }

    static constexpr std::uint32_t max_sites = 65536;

    /// In `Job::n_tokens`, beside what `step_bits` says: the engine ends its passes, so the record says its step, 0 too.
    static constexpr std::uint64_t is_counted = std::uint64_t{1} << 63;

    /// The step that an event says, for the upper half of `Job::n_tokens`, from 1: an engine that counts its passes itself would
    /// else have a site for each of them. 0 where it says none, or one that has no room there.
    static std::uint64_t step_bits(const Event& event) noexcept {
        return event.has_step_ && event.step_ < 0x7fffffffu ? (std::uint64_t{event.step_} + 1) << 32 : 0;
    }

private:
    static constexpr std::size_t bucket_count = 4096;

    /// FNV-1a over what tells two sites apart.
    static std::uint64_t hash_of(const Event& event, Type type) noexcept {
        std::uint64_t hash = 0xcbf29ce484222325u;
        const auto mix = [&hash](const void* data, std::size_t size) {
            const unsigned char* bytes = static_cast<const unsigned char*>(data);
            for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
        };
        for (std::string_view text : {event.checkpoint_, event.dtype_, event.op_, event.source_}) mix(text.data(), text.size());
        for (std::size_t i = 0; i < event.src_count_; ++i) mix(event.src_[i].data(), event.src_[i].size());
        const std::uint64_t numbers[] = {static_cast<std::uint64_t>(type), event.seq_, event.occurrence_, event.line_};
        mix(numbers, sizeof numbers);
        return hash;
    }

    static bool same(const Event& a, const Event& b) noexcept {
        bool equal = a.checkpoint_ == b.checkpoint_ && a.dtype_ == b.dtype_ && a.op_ == b.op_ && a.source_ == b.source_ &&
                     a.file_ == b.file_ && a.line_ == b.line_ && a.seq_ == b.seq_ && a.occurrence_ == b.occurrence_ &&
                     a.token_axis_ == b.token_axis_ && a.has_shard_ == b.has_shard_ &&
                     a.src_count_ == b.src_count_ && a.has_step_ == b.has_step_ &&
                     (step_bits(a) != 0 ? step_bits(b) != 0 : a.step_ == b.step_);
        if (a.has_shard_ && equal) {
            equal = a.shard_.rank == b.shard_.rank && a.shard_.world == b.shard_.world && a.shard_.axis == b.shard_.axis &&
                    a.shard_.index == b.shard_.index && a.shard_.count == b.shard_.count;
        }
        for (std::size_t i = 0; equal && i < a.src_count_; ++i) equal = a.src_[i] == b.src_[i];
        return equal;
    }

    Site* make(const Event& event, Type type, std::uint64_t hash) noexcept {
        const std::uint32_t id = count_.fetch_add(1, std::memory_order_relaxed);
        if (id >= max_sites) {
            count_.store(max_sites, std::memory_order_relaxed);
            return nullptr;
        }
        std::size_t bytes = 0;
        Event copy = event;
        std::string_view* texts[5 + Event::max_src] = {&copy.checkpoint_, &copy.dtype_, &copy.op_, &copy.source_, &copy.file_};
        std::size_t text_count = 5;
        for (std::size_t i = 0; i < copy.src_count_; ++i) texts[text_count++] = &copy.src_[i];
        for (std::size_t i = 0; i < text_count; ++i) bytes += texts[i]->size();
        void* memory = std::malloc(sizeof(Site) + bytes);
        if (memory == nullptr) return nullptr;
        char* at = static_cast<char*>(memory) + sizeof(Site);
        for (std::size_t i = 0; i < text_count; ++i) {
            if (!texts[i]->empty()) std::memcpy(at, texts[i]->data(), texts[i]->size());
            *texts[i] = std::string_view(at, texts[i]->size());
            at += texts[i]->size();
        }
        copy.shape_text_ = {};  // its shape travels with each record
        return new (memory) Site{copy, type, id, hash, nullptr};
    }

    /// Another thread added the same site first. The number stays unused.
    static void retire(Site* site) noexcept { std::free(static_cast<void*>(site)); }

    std::atomic<Site*> buckets_[bucket_count] = {};
    std::atomic<Site*> by_id_[max_sites] = {};
    std::atomic<std::uint32_t> count_{0};
};

}  // namespace cuda
}  // namespace orch_log

#endif
