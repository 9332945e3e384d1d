// One record as one line of JSON, fields in the order of the contract.
#ifndef ORCH_LOG_COMPOSE_HPP
#define ORCH_LOG_COMPOSE_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "event.hpp"
#include "float_guard.hpp"
#include "line.hpp"
#include "summary.hpp"
#include "view.hpp"

namespace orch_log {
namespace detail {

/// Where all elements of a tensor are.
struct PayloadPlace {
    std::string_view file;  // bare name, beside the trace
    std::uint64_t offset = 0;
    std::uint64_t nbytes = 0;
};

/// What goes into a record besides the event and its first values; null leaves a part out.
struct Extras {
    const Summary* summary = nullptr;
    const PayloadPlace* payload = nullptr;
    std::uint64_t ts_ns = 0;
};

/// True for the types whose numbers are the shortest decimal of an f32: every float but f64, and
/// quantised blocks, which are decoded to f32.
constexpr bool prints_as_f32(Type type) noexcept {
    return type == Type::f32 || type == Type::f16 || type == Type::bf16 || type == Type::f8_e4m3 ||
           type == Type::f8_e5m2;
}

constexpr bool is_integer(Type type) noexcept { return type != Type::f64 && !prints_as_f32(type); }

/// True when `name` may stand in a record as it is: letters, digits and `_`, at most 15.
constexpr bool is_dtype_name(std::string_view name) noexcept {
    for (char c : name) {
        const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (!ok) return false;
    }
    return !name.empty() && name.size() <= 15;
}

/// The name to write for elements of type `type` that the caller calls `wanted`: the caller's, unless
/// the numbers would then be read as another type than they are printed as.
inline std::string_view written_dtype(Type type, std::string_view wanted) noexcept {
    if (!is_dtype_name(wanted)) return dtype_name(type);
    const Type named = type_of_name(wanted);
    if (named != Type::none) wanted = dtype_name(named);
    const bool wanted_as_f32 = named == Type::none || prints_as_f32(named);
    const bool wanted_integer = named != Type::none && is_integer(named);
    const bool same = wanted_as_f32 == prints_as_f32(type) && wanted_integer == is_integer(type);
    return same ? wanted : dtype_name(type);
}

/// True for `[]`, `[896]`, `[1, 896]`: all that may stand in a record without escaping.
inline bool is_shape_text(std::string_view text) noexcept {
    if (text.size() < 2 || text.size() > 256 || text.front() != '[' || text.back() != ']') return false;
    text = text.substr(1, text.size() - 2);
    if (text.empty()) return true;
    std::size_t digits = 0;
    bool ended = false;  // a blank after digits: only a comma may follow
    for (char c : text) {
        if (c >= '0' && c <= '9') {
            if (ended || ++digits >= 20) return false;
        } else if (c == ' ') {
            ended = digits > 0;
        } else if (c == ',' && digits > 0) {
            digits = 0;
            ended = false;
        } else {
            return false;
        }
    }
    return digits > 0;
}

/// Writes the parts of a record. `reserve_bytes` bounds from above what `record` writes.
class Composer {
public:
    Composer(Line& line, const Event& event, const RawView& view) noexcept : line_(line), event_(event), view_(view) {}

    /// 2048 bytes hold every fixed part with its numbers at their longest (under 1600), and what a number may touch
    /// past its end.
    static std::size_t reserve_bytes(const Event& event, std::size_t team_bytes, std::size_t values,
                                     std::size_t payload_name_bytes) noexcept {
        std::size_t bytes = 2048 + team_bytes + payload_name_bytes + 26 * values;
        for (std::string_view text : {event.checkpoint_, event.op_, event.source_, event.file_}) {
            bytes += quoted_bytes(text);
        }
        for (std::size_t i = 0; i < event.src_count_; ++i) bytes += quoted_bytes(event.src_[i]) + 1;
        return bytes;
    }

    /// `team` is a JSON string already. `values` elements are written.
    void record(std::string_view team, std::size_t values, const Extras& extras) noexcept {
        line_.literal("{\"checkpoint\":");
        line_.quoted(event_.checkpoint_);
        line_.literal(",\"team\":");
        line_.verbatim(team);
        line_.literal(",\"token_idx\":");
        line_.integer(event_.token_idx_);
        line_.literal(",\"dtype\":\"");
        line_.lower_case(written_dtype(view_.type, event_.dtype_));
        line_.literal("\",\"shape\":\"");
        shape();
        line_.literal("\",\"values\":[");
        elements(values);
        line_.raw(']');
        place();
        origin();
        if (extras.summary != nullptr) {
            stats(extras.summary->stats);
            sketch(extras.summary->sketch);
        }
        if (extras.payload != nullptr) payload(*extras.payload);
        provenance(extras.ts_ns);
        line_.literal("}\n");
    }

private:
    void shape() noexcept {
        if (is_shape_text(event_.shape_text_)) return line_.verbatim(event_.shape_text_);
        const Shape& dims = event_.has_shape_ ? event_.shape_ : view_.shape;
        line_.raw('[');
        for (std::size_t axis = 0; axis < dims.count(); ++axis) {
            if (axis > 0) line_.raw(',');
            line_.number(std::uint64_t{dims[axis]});
        }
        line_.raw(']');
    }

    void elements(std::size_t values) noexcept {
        if (values == 0) return;
        if (prints_as_f32(view_.type)) {
            elements_as_f32(values);
        } else {
            each(values, [this](const unsigned char* data) {
                element_at(data);
                line_.raw(',');
            });
        }
        line_.drop_last();
    }

    void elements_as_f32(std::size_t values) noexcept {
        if (view_.type == Type::f32 && view_.contiguous()) {
            return line_.numbers(reinterpret_cast<const float*>(view_.data), values);  // read bytewise: any alignment
        }
        float some[32];
        std::size_t count = 0;
        each(values, [&](const unsigned char* data) {
            some[count++] = element_as<float>(data, view_.type);
            if (count < 32) return;
            line_.numbers(some, count);
            count = 0;
        });
        line_.numbers(some, count);
    }

    /// The first `values` elements in logical order.
    template <class Body>
    void each(std::size_t values, Body body) noexcept {
        Cursor cursor(view_);
        const unsigned char* data = nullptr;
        std::ptrdiff_t stride = 0;
        while (values > 0) {
            const std::size_t run = cursor.next(values, data, stride);
            if (run == 0) return;
            for (std::size_t i = 0; i < run; ++i, data += stride) body(data);
            values -= run;
        }
    }

    void element_at(const unsigned char* at) noexcept {
        switch (view_.type) {
            case Type::f64: return line_.number(load<double>(at));
            case Type::i64: return line_.integer(load<std::int64_t>(at));
            case Type::i32: return line_.integer(load<std::int32_t>(at));
            case Type::i16: return line_.integer(load<std::int16_t>(at));
            case Type::i8: return line_.integer(load<std::int8_t>(at));
            case Type::u64: return line_.number(load<std::uint64_t>(at));
            case Type::u32: return line_.number(std::uint64_t{load<std::uint32_t>(at)});
            case Type::u16: return line_.number(std::uint64_t{load<std::uint16_t>(at)});
            case Type::u8: return line_.number(std::uint64_t{*at});
            case Type::boolean: return line_.number(std::uint64_t{*at != 0});
            default: return line_.number(element_as<float>(at, view_.type));
        }
    }

    template <std::size_t N>
    void field(const char (&name)[N], std::uint64_t value) noexcept {
        line_.literal(name);
        line_.number(value);
    }

    /// Where in the run: tokens, step, sequence, occurrence, slice.
    void place() noexcept {
        if (event_.has_n_tokens_) field(",\"n_tokens\":", event_.n_tokens_);
        if (event_.has_step_) field(",\"step\":", event_.step_);
        if (event_.seq_ != 0) field(",\"seq\":", event_.seq_);
        if (event_.occurrence_ != 0) field(",\"occurrence\":", event_.occurrence_);
        if (event_.token_axis_ != 0) field(",\"token_axis\":", event_.token_axis_);
        if (event_.has_shard_) {
            field(",\"rank\":", event_.shard_.rank);
            field(",\"world\":", event_.shard_.world);
            field(",\"shard\":{\"axis\":", event_.shard_.axis);
            field(",\"index\":", event_.shard_.index);
            field(",\"count\":", event_.shard_.count);
            line_.raw('}');
        }
    }

    /// Where in the dataflow graph.
    void origin() noexcept {
        if (!event_.op_.empty()) {
            line_.literal(",\"op\":");
            line_.quoted(event_.op_);
        }
        if (event_.src_count_ == 0) return;
        line_.literal(",\"src\":[");
        for (std::size_t i = 0; i < event_.src_count_; ++i) {
            if (i > 0) line_.raw(',');
            line_.quoted(event_.src_[i]);
        }
        line_.raw(']');
    }

    void stats(const Stats& stats) noexcept {
        const FloatGuard floats;  // an extreme may be a subnormal f32, which the engine may have flushed to zero
        field(",\"stats\":{\"n\":", stats.n);
        field(",\"nan\":", stats.nan);
        field(",\"inf\":", stats.inf);
        field(",\"zero\":", stats.zero);
        line_.literal(",\"min\":");
        extreme(stats.min);
        line_.literal(",\"max\":");
        extreme(stats.max);
        line_.literal(",\"mean\":");
        line_.number(stats.mean);
        line_.literal(",\"rms\":");
        line_.number(stats.rms);
        line_.raw('}');
    }

    /// Extremes are elements, so they are printed as elements are.
    void extreme(double value) noexcept {
        if (prints_as_f32(view_.type)) {
            line_.number(static_cast<float>(value));
        } else {
            line_.number(value);
        }
    }

    void sketch(const Sketch& sketch) noexcept {
        line_.literal(",\"sketch\":{\"v\":1,\"s\":[");
        for (double sum : sketch.s) {
            line_.number(sum);
            line_.raw(',');
        }
        line_.drop_last();
        line_.literal("]}");
    }

    void payload(const PayloadPlace& place) noexcept {
        line_.literal(",\"payload\":{\"file\":");
        line_.quoted(place.file);
        field(",\"offset\":", place.offset);
        field(",\"nbytes\":", place.nbytes);
        line_.literal(",\"dtype\":\"");
        line_.verbatim(dtype_name(view_.type));
        line_.literal("\"}");
    }

    void provenance(std::uint64_t ts_ns) noexcept {
        if (ts_ns != 0) field(",\"ts_ns\":", ts_ns);
        if (!event_.source_.empty()) {
            line_.literal(",\"source\":");
            line_.quoted(event_.source_);
        }
        if (event_.file_.empty()) return;
        line_.literal(",\"file\":");
        line_.quoted(event_.file_);
        field(",\"line\":", event_.line_);
    }

    Line& line_;
    const Event& event_;
    const RawView& view_;
};

}  // namespace detail
}  // namespace orch_log

#endif
