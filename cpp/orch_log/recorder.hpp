// Writing a trace.
#ifndef ORCH_LOG_RECORDER_HPP
#define ORCH_LOG_RECORDER_HPP

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string_view>
#include <type_traits>
#include <utility>

#include "compose.hpp"
#include "device.hpp"
#include "event.hpp"
#include "file.hpp"
#include "filter.hpp"
#include "payload.hpp"
#include "run.hpp"
#include "settings.hpp"
#include "sink.hpp"
#include "status.hpp"
#include "summarise.hpp"
#include "thread.hpp"
#include "view.hpp"

namespace orch_log {

/// Writes one trace. Shared between threads, no call waits for another thread. It never prints and never
/// throws; what could not be written is counted in `health()`.
///
///     orch_log::Settings settings;
///     settings.path = "run.jsonl";
///     settings.team = "my-engine";
///     orch_log::Recorder recorder;
///     if (recorder.open(settings) != orch_log::Status::written) { … recorder.health().last_errno … }
///     auto status = recorder.log(orch_log::Event("logits", 7), logits);
class Recorder {
public:
    Recorder() noexcept = default;
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    /// Writes what threads still hold back and closes the trace. No other thread may be logging to it.
    ~Recorder() { close(); }

    /// Opens the trace: `written` on success, else `invalid_argument` (a filter or token set that does not
    /// read), `out_of_memory`, or `write_failed` with `health().last_errno`. Opened once in its life.
    Status open(const Settings& settings) noexcept {
        const detail::CallGuard guard;
        if (sink_.is_open()) return Status::invalid_argument;
        std::string_view bad;
        if (!path_.assign(settings.path) || !filter_.assign(settings.filter)) return Status::out_of_memory;
        if (!tokens_.assign(settings.tokens, bad)) return bad.empty() ? Status::out_of_memory : Status::invalid_argument;
        values_ = settings.values;
        detail_ = settings.detail;
        timestamps_ = settings.timestamps;
        buffer_ = static_cast<std::size_t>(settings.buffer);
        truncated_ = settings.truncate;
        started_ = std::time(nullptr);
        if (buffer_ > 0) detail::watch_forks();
        if (!sink_.open(path_.c_str(), settings.team, settings.truncate, settings.max_bytes)) {
            open_error_ = errno;
            return Status::write_failed;
        }
        return Status::written;
    }

    /// Writes a first `NAME.run.json`, with what is known without asking the engine, unless others
    /// already log into this trace. `orch_log::log` and the macros do it by themselves.
    void describe_start() noexcept {
        const detail::CallGuard guard;
        if (sink_.is_open()) detail::describe_at_start(path_.c_str(), sink_.team(), truncated_, started_);
    }

    /// Replaces `NAME.run.json` by one that holds what the engine knows about this run.
    Status describe_run(const Run& run) noexcept {
        const detail::CallGuard guard;
        if (!sink_.is_open()) return Status::off;
        return detail::write_run_file(path_.view(), sink_.team(), run, started_) ? Status::written : Status::write_failed;
    }

    /// True when a record of this name, first position and number of positions would be written. Costs
    /// no system call: ask before an expensive copy.
    bool wants(std::string_view checkpoint, std::int64_t token_idx, std::uint64_t n_tokens = 1) const noexcept {
        return sink_.is_open() && filter_.passes(checkpoint) &&
               (tokens_.overlaps(token_idx, n_tokens) || checkpoint == detail::tokens_checkpoint);
    }

    /// True when records of this name may be written, whatever their position.
    bool wants_name(std::string_view checkpoint) const noexcept { return sink_.is_open() && filter_.passes(checkpoint); }

    /// Writes one record, if `wants` says so. `tensor` is a `TensorView`, an array, or anything with
    /// `data()` and `size()`.
    template <class Tensor, class = decltype(TensorView(std::declval<const Tensor&>()))>
    Status log(const Event& event, const Tensor& tensor) noexcept {
        return log_raw(event, TensorView(tensor).raw());
    }

    /// The same without an element type, which is what all the others come down to.
    Status log_raw(const Event& event, const detail::RawView& view) noexcept {
        if (!sink_.is_open()) return Status::off;
        if (!wants(event.checkpoint_, event.token_idx_, event.has_n_tokens_ ? event.n_tokens_ : 1)) return Status::filtered;
        const detail::ErrnoGuard guard;
        detail::LineBuffer buffer;
        if (!buffer.owned()) return sink_.lose(1, Status::reentered, 0);
        if (view.type == Type::none) return sink_.lose(1, Status::unknown_dtype, 0);
        if (!view.valid || (event.has_shape_ && !event.shape_.valid())) return sink_.lose(1, Status::invalid_argument, 0);
        if (view.count > 0 && detail::is_device_pointer(view.data)) return sink_.lose(1, Status::device_pointer, 0);
        return write(event, view, buffer);
    }

    /// Writes one record, if `wants` says so, whose summary was computed where the tensor is: on a device. `first`
    /// are its first elements, `event` says its shape; `payload` is where all of it has been written, null if nowhere.
    Status log_summarised(const Event& event, const detail::RawView& first, const detail::Summary& summary,
                          const detail::PayloadPlace* payload) noexcept {
        if (!sink_.is_open()) return Status::off;
        if (!wants(event.checkpoint_, event.token_idx_, event.has_n_tokens_ ? event.n_tokens_ : 1)) return Status::filtered;
        const detail::ErrnoGuard guard;
        detail::LineBuffer buffer;
        if (!buffer.owned()) return sink_.lose(1, Status::reentered, 0);
        detail::Extras extras;
        if (detail_ != Detail::values) extras.summary = &summary;
        extras.payload = payload;
        return compose(event, first, first.count, extras, buffer);
    }

    /// Writes what several payloads lie in, as they lie in memory; `written`, or, without counting a loss, why not, with the `errno`
    /// in `error`. Their records come later, each with its part of `place`.
    Status write_block(const unsigned char* memory, std::uint64_t nbytes, detail::PayloadPlace& place, int& error) noexcept {
        const detail::ErrnoGuard guard;
        const auto view = detail::make_view(memory, Type::u8, Shape{static_cast<std::size_t>(nbytes)}, nullptr);
        if (!sink_.is_open()) return Status::off;
        if (!sink_.reserve(nbytes)) return Status::limit_reached;
        if (!payloads_.write(view, path_.view(), place)) return error = errno, Status::write_failed;
        sink_.count_payload_bytes(nbytes);
        return Status::written;
    }

    /// Counts records that were lost before they came here.
    void count_lost(std::uint64_t records, Status reason) noexcept {
        const detail::ErrnoGuard guard;
        if (sink_.is_open() && records > 0) (void)sink_.lose(records, reason, 0);
    }

    /// The same of payloads, whose records are written. The trace is not told before `tell_of_payloads`.
    void count_lost_payloads(std::uint64_t payloads, Status reason, int error = 0) noexcept {
        if (sink_.is_open() && payloads > 0) sink_.lose_device_payloads(payloads, reason, error);
    }

    /// Tells the trace of payloads that were counted before.
    void tell_of_payloads(std::uint64_t payloads) noexcept {
        const detail::ErrnoGuard guard;
        if (sink_.is_open() && payloads > 0) sink_.tell_of_payloads(payloads);
    }

    /// Writes the record that says how much was lost, where the trace has none that says so yet.
    void tell_losses() noexcept {
        const detail::ErrnoGuard guard;
        sink_.tell();
    }

    /// How many first values a record gets.
    std::uint64_t values() const noexcept { return values_; }
    /// What a record holds besides them.
    Detail detail() const noexcept { return detail_; }

    /// Counts a record that a caller could not even describe.
    Status refuse(Status reason) noexcept {
        const detail::ErrnoGuard guard;
        return sink_.is_open() ? sink_.lose(1, reason, 0) : Status::off;
    }

    /// Returns when everything logged so far is on the disk (`fsync`), not only in the kernel; lines that
    /// other threads hold back included.
    Status flush() noexcept {
        const detail::CallGuard guard;
        if (!sink_.is_open()) return Status::off;
        write_held_back(true);
        sink_.tell();
        const bool synced = payloads_.sync();
        return sink_.sync() && synced ? Status::written : Status::write_failed;
    }

    /// What became of the records so far.
    Health health() const noexcept {
        Health health = sink_.health();
        if (open_error_ != 0) health.last_errno = open_error_;
        return health;
    }

    /// Writes what threads hold back and closes the trace; logging to it then answers `off`.
    void close() noexcept {
        if (!sink_.is_open()) return;
        const detail::CallGuard guard;
        write_held_back(true);
        sink_.tell();
        payloads_.close_now();
        sink_.close_now();
    }

    /// Writes the lines that threads hold back for this recorder, without waiting for the disk.
    void write_held_back(bool wait) noexcept {
        if (buffer_ == 0) return;
        for (detail::Pending* pending = detail::all_pending.load(std::memory_order_acquire); pending != nullptr;
             pending = pending->next) {
            if (pending->generation.load(std::memory_order_relaxed) != current_generation()) continue;
            const detail::PendingLock lock(*pending, wait);
            if (lock && pending->owner == this) write_pending(*pending);
        }
    }

    /// Writes the lines of a locked `pending` that belongs to this recorder.
    void write_pending(detail::Pending& pending) noexcept {
        const bool ours = pending.generation.load(std::memory_order_relaxed) == current_generation();
        if (pending.size > 0 && ours) (void)sink_.write(pending.data + 1, pending.size, pending.records);
        pending.size = 0;
        pending.records = 0;
        pending.owner = nullptr;
    }

private:
    static unsigned current_generation() noexcept { return detail::fork_generation.load(std::memory_order_relaxed); }

    Status write(const Event& event, const detail::RawView& view, detail::LineBuffer& buffer) noexcept {
        const bool whole = event.checkpoint_ == detail::tokens_checkpoint || values_ > view.count;
        const std::size_t values = whole ? view.count : static_cast<std::size_t>(values_);
        detail::Extras extras;
        detail::Summary summary;
        if (detail_ != Detail::values) {
            summary = detail::summarise(view);
            extras.summary = &summary;
        }
        detail::PayloadPlace place;
        if (detail_ == Detail::full && write_payload(view, place)) extras.payload = &place;
        return compose(event, view, values, extras, buffer);
    }

    Status compose(const Event& event, const detail::RawView& view, std::size_t values, detail::Extras& extras,
                   detail::LineBuffer& buffer) noexcept {
        char* memory = buffer.reserve(1 + detail::Composer::reserve_bytes(event, sink_.team().size(), values,
                                                                         6 * detail::Payloads::max_name_bytes));
        if (memory == nullptr) return sink_.lose(1, Status::out_of_memory, ENOMEM);
        if (timestamps_) extras.ts_ns = now_ns();
        detail::Line line(memory + 1);
        detail::Composer(line, event, view).record(sink_.team(), values, extras);
        if (buffer_ > 0 && hold_back(line, buffer.state())) return Status::buffered;
        return sink_.write(memory + 1, line.size(), 1);
    }

    bool write_payload(const detail::RawView& view, detail::PayloadPlace& place) noexcept {
        const std::uint64_t nbytes = std::uint64_t{view.count} * size_bytes(view.type);
        if (!sink_.reserve(nbytes)) {
            sink_.lose_payload(Status::limit_reached, 0);
            return false;
        }
        if (!payloads_.write(view, path_.view(), place)) {
            sink_.lose_payload(Status::write_failed, errno);
            return false;
        }
        sink_.count_payload_bytes(nbytes);
        return true;
    }

    /// Puts a line into the calling thread's buffer; false when it has to be written at once.
    bool hold_back(const detail::Line& line, detail::ThreadState& state) noexcept {
        if (state.ending || detail::exit_reached.load(std::memory_order_relaxed) || line.size() >= buffer_) return false;
        if (state.pending == nullptr) state.pending = detail::claim_pending();
        if (state.pending == nullptr) return false;
        detail::Pending& pending = *state.pending;
        const detail::PendingLock lock(pending, false);
        if (!lock) return false;  // someone flushes it just now
        const unsigned generation = current_generation();
        if (pending.generation.load(std::memory_order_relaxed) != generation) {  // the parent's lines: the parent writes them
            pending.generation.store(generation, std::memory_order_relaxed);
            pending.size = 0;
            pending.records = 0;
            pending.owner = nullptr;
        }
        const bool full = pending.size + line.size() > buffer_;
        if (pending.owner != nullptr && (pending.owner != this || full)) pending.owner->write_pending(pending);
        if (pending.capacity < buffer_ + 1) {
            char* data = static_cast<char*>(std::malloc(buffer_ + 1));  // + 1: see `Sink::write`
            if (data == nullptr) return false;
            std::free(pending.data);
            pending.data = data;
            pending.capacity = buffer_ + 1;
        }
        std::memcpy(pending.data + 1 + pending.size, line.data(), line.size());
        pending.size += line.size();
        pending.records += 1;
        pending.owner = this;
        return true;
    }

    static std::uint64_t now_ns() noexcept {
        struct timespec now;
        if (clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
        return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
    }

    detail::Sink sink_;
    detail::Payloads payloads_;
    detail::OwnedText path_;
    detail::Filter filter_;
    detail::TokenSet tokens_;
    std::uint64_t values_ = 10;
    std::size_t buffer_ = 0;
    std::time_t started_ = 0;
    int open_error_ = 0;
    Detail detail_ = Detail::stats;
    bool timestamps_ = false;
    bool truncated_ = false;
};

namespace detail {

/// For `ThreadEnd`, which knows no recorder.
inline void write_pending(Pending& pending) noexcept {
    if (pending.owner != nullptr) pending.owner->write_pending(pending);
}

}  // namespace detail
}  // namespace orch_log

#endif
