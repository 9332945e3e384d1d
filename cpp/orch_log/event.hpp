// What a record says besides its numbers.
#ifndef ORCH_LOG_EVENT_HPP
#define ORCH_LOG_EVENT_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "view.hpp"

namespace orch_log {

namespace detail {
class Composer;
}
namespace cuda {
class Sites;
class Reader;
}  // namespace cuda

/// Which slice of which group of processes a record holds.
struct Shard {
    std::uint64_t rank = 0;   ///< Process in the group, 0-based.
    std::uint64_t world = 1;  ///< Processes in the group.
    std::size_t axis = 0;     ///< The axis that was split.
    std::size_t index = 0;    ///< Which slice along that axis, 0-based.
    std::size_t count = 1;    ///< Slices along that axis.
};

/// Which tensor this is and where it came from. A builder over borrowed text, which must live until
/// the logging call returns; making one allocates nothing.
///
///     orch_log::Event("layer_0_q", 7).shape({1, 9, 64}).n_tokens(1).step(3).op("MUL_MAT")
class Event {
public:
    /// Most inputs that `src` keeps, as many as ggml has.
    static constexpr std::size_t max_src = 10;

    /// A record of `checkpoint` whose first row belongs to the absolute 0-based position `token_idx`.
    constexpr Event(std::string_view checkpoint, std::int64_t token_idx) noexcept
        : checkpoint_(checkpoint), token_idx_(token_idx) {}

    /// Outermost dimension first; without it, the view's own.
    constexpr Event& shape(const Shape& dims) noexcept { return shape_ = dims, has_shape_ = true, *this; }
    /// As text, `"[896]"`. What does not read as a shape is replaced by the view's own.
    constexpr Event& shape_text(std::string_view text) noexcept { return shape_text_ = text, *this; }
    /// Storage type before logging, where elements were converted (quantised blocks to f32).
    constexpr Event& dtype(std::string_view name) noexcept { return dtype_ = name, *this; }
    /// Token positions covered.
    constexpr Event& n_tokens(std::uint64_t count) noexcept { return n_tokens_ = count, has_n_tokens_ = true, *this; }
    /// Forward pass, 0 = prefill.
    constexpr Event& step(std::uint64_t number) noexcept { return step_ = number, has_step_ = true, *this; }
    /// Sequence in a batch; written when not 0.
    constexpr Event& seq(std::uint64_t number) noexcept { return seq_ = number, *this; }
    /// How many records of this name the step already had; written when not 0.
    constexpr Event& occurrence(std::uint64_t number) noexcept { return occurrence_ = number, *this; }
    /// The axis that holds the tokens; written when not 0.
    constexpr Event& token_axis(std::size_t axis) noexcept { return token_axis_ = axis, *this; }
    /// Slice of a tensor-parallel run.
    constexpr Event& shard(const Shard& slice) noexcept { return shard_ = slice, has_shard_ = true, *this; }
    /// Producing operation.
    constexpr Event& op(std::string_view name) noexcept { return op_ = name, *this; }
    /// Names of the operation's inputs; those past `max_src` are left out.
    constexpr Event& src(std::initializer_list<std::string_view> names) noexcept {
        return src(names.begin(), names.size());
    }
    constexpr Event& src(const std::string_view* names, std::size_t count) noexcept {
        src_count_ = 0;
        for (; src_count_ < count && src_count_ < max_src; ++src_count_) src_[src_count_] = names[src_count_];
        return *this;
    }
    /// Which part of the engine logged.
    constexpr Event& source(std::string_view text) noexcept { return source_ = text, *this; }
    /// Source file and line of the logging call.
    constexpr Event& location(std::string_view file, std::uint32_t line) noexcept {
        return file_ = file, line_ = line, *this;
    }

    std::string_view checkpoint() const noexcept { return checkpoint_; }
    /// The shape that was given; null where it is the view's own.
    const Shape* given_shape() const noexcept { return has_shape_ ? &shape_ : nullptr; }
    /// Token positions that were given, 0 where none were.
    std::uint64_t given_n_tokens() const noexcept { return has_n_tokens_ ? n_tokens_ : 0; }

private:
    friend class detail::Composer;
    friend class Recorder;
    friend class cuda::Sites;
    friend class cuda::Reader;

    std::string_view checkpoint_;
    std::int64_t token_idx_ = 0;
    std::string_view shape_text_;
    std::string_view dtype_;
    std::string_view op_;
    std::string_view source_;
    std::string_view file_;
    std::uint64_t n_tokens_ = 0;
    std::uint64_t step_ = 0;
    std::uint64_t seq_ = 0;
    std::uint64_t occurrence_ = 0;
    std::size_t token_axis_ = 0;
    std::size_t src_count_ = 0;
    std::uint32_t line_ = 0;
    bool has_shape_ = false;
    bool has_n_tokens_ = false;
    bool has_step_ = false;
    bool has_shard_ = false;
    Shard shard_;
    Shape shape_;
    std::string_view src_[max_src];
};

}  // namespace orch_log

#endif
