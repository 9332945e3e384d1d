// Payload files: all elements of a tensor, as raw little-endian bytes.
#ifndef ORCH_LOG_PAYLOAD_HPP
#define ORCH_LOG_PAYLOAD_HPP

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include <unistd.h>

#include "compose.hpp"
#include "file.hpp"
#include "paths.hpp"
#include "view.hpp"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "orch_log writes payloads from memory as they are, which must be little-endian"
#endif

namespace orch_log {
namespace detail {

/// The payload file of the current process, opened when first needed.
class Payloads {
public:
    /// Payloads start at multiples of this, so that a mapped file can be read as any element type, and by
    /// vector loads.
    static constexpr std::uint64_t alignment_bytes = 64;
    static constexpr std::size_t max_name_bytes = 256;

    Payloads() noexcept = default;
    Payloads(const Payloads&) = delete;
    Payloads& operator=(const Payloads&) = delete;
    ~Payloads() { close_now(); }

    /// Writes all elements in logical order; false with `errno` set. `trace` is the path of the trace.
    bool write(const RawView& view, std::string_view trace, PayloadPlace& place) noexcept {
        Open* open = current(trace);
        if (open == nullptr) return false;
        place.file = open->name;
        place.nbytes = std::uint64_t{view.count} * size_bytes(view.type);
        const std::uint64_t room = (place.nbytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
        // Only this process writes to the file, so an addition is a reservation, and threads write to
        // disjoint ranges without waiting for each other.
        place.offset = open->end.fetch_add(room, std::memory_order_relaxed);
        if (view.contiguous()) return open->file.write_at(view.data, place.nbytes, place.offset);
        return write_gathered(open->file, view, place.offset);
    }

    bool sync() noexcept {
        Open* open = current_.load(std::memory_order_acquire);
        return open == nullptr || open->file.sync();
    }

    void close_now() noexcept {
        Open* open = current_.exchange(nullptr);
        if (open != nullptr) release(open);
    }

private:
    struct Open {
        pid_t pid;  // a forked child inherits this struct, but must not write to its parent's offsets
        File file;
        char name[max_name_bytes];
        char suffix[48];
        std::atomic<std::uint64_t> end{0};
    };

    static void release(Open* open) noexcept {
        open->~Open();
        std::free(open);
    }

    Open* current(std::string_view trace) noexcept {
        const pid_t pid = getpid();
        Open* before = current_.load(std::memory_order_acquire);
        if (before != nullptr && before->pid == pid) return before;
        Open* fresh = create(trace, pid);
        if (fresh == nullptr) return nullptr;
        // Two threads may get here together: one wins, the other uses the winner's file. After a fork the
        // parent's struct is left alone (a few bytes leak): another thread of the child could hold it.
        if (current_.compare_exchange_strong(before, fresh, std::memory_order_acq_rel)) return fresh;
        unlink(PathText(trace, fresh->suffix).c_str());
        release(fresh);
        return before;
    }

    /// A new file, never an existing one: process ids come again, and a program may open the same trace
    /// twice. Records name their file, so any name serves.
    static Open* create(std::string_view trace, pid_t pid) noexcept {
        void* memory = std::malloc(sizeof(Open));
        if (memory == nullptr) {
            errno = ENOMEM;
            return nullptr;
        }
        Open* open = new (memory) Open{};
        open->pid = pid;
        for (int attempt = 0; attempt < 10000; ++attempt) {
            if (attempt == 0) {
                std::snprintf(open->suffix, sizeof open->suffix, ".%ld.tensors", static_cast<long>(pid));
            } else {
                std::snprintf(open->suffix, sizeof open->suffix, ".%ld-%d.tensors", static_cast<long>(pid), attempt);
            }
            const PathText path(trace, open->suffix);
            const std::string_view name = path.file_name();
            if (name.size() >= max_name_bytes) {
                errno = ENAMETOOLONG;
                break;
            }
            if (open->file.open_path(path.c_str(), O_EXCL)) {
                std::memcpy(open->name, name.data(), name.size());
                open->name[name.size()] = '\0';
                return open;
            }
            if (errno != EEXIST) break;
        }
        const int error = errno;
        release(open);
        errno = error;
        return nullptr;
    }

    static bool write_gathered(File& file, const RawView& view, std::uint64_t offset) noexcept {
        constexpr std::size_t chunk_bytes = 16384;
        unsigned char chunk[chunk_bytes];
        const std::size_t size = size_bytes(view.type);
        std::size_t filled = 0;
        Cursor cursor(view);
        const unsigned char* data = nullptr;
        std::ptrdiff_t stride = 0;
        while (const std::size_t run = cursor.next((chunk_bytes - filled) / size, data, stride)) {
            for (std::size_t i = 0; i < run; ++i, data += stride, filled += size) std::memcpy(chunk + filled, data, size);
            if (chunk_bytes - filled >= size) continue;
            if (!file.write_at(chunk, filled, offset)) return false;
            offset += filled;
            filled = 0;
        }
        return file.write_at(chunk, filled, offset);
    }

    std::atomic<Open*> current_{nullptr};
};

}  // namespace detail
}  // namespace orch_log

#endif
