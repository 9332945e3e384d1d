// Which checkpoints and which token positions are logged.
#ifndef ORCH_LOG_FILTER_HPP
#define ORCH_LOG_FILTER_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text.hpp"

namespace orch_log {
namespace detail {

/// The reserved checkpoint of the token ids: without it two traces cannot be shown to have seen the
/// same input, so filters spare it.
inline constexpr std::string_view tokens_checkpoint = "tokens";

/// `*` stands for any run of characters, `?` for one. Iterative, with one point to go back to: never
/// worse than the product of the lengths, no recursion.
inline bool glob_matches(std::string_view glob, std::string_view name) noexcept {
    std::size_t g = 0;
    std::size_t n = 0;
    std::size_t star = std::string_view::npos;
    std::size_t from = 0;
    while (n < name.size()) {
        if (g < glob.size() && glob[g] == '*') {
            star = g++;
            from = n;
        } else if (g < glob.size() && (glob[g] == '?' || glob[g] == name[n])) {
            ++g;
            ++n;
        } else if (star != std::string_view::npos) {
            g = star + 1;
            n = ++from;
        } else {
            return false;
        }
    }
    while (g < glob.size() && glob[g] == '*') ++g;
    return g == glob.size();
}

/// A list of globs separated by commas; `!` negates one. A name passes when it matches no negated
/// glob and, if there are others, one of them; the order does not matter. `tokens` passes unless
/// it is negated by its own name.
class Filter {
public:
    bool assign(std::string_view globs) noexcept {
        std::string_view part;
        for (std::string_view rest = globs; next_part(rest, part);) {
            if (!part.empty() && part != "!") return globs_.assign(globs);
        }
        return true;  // nothing but commas and blanks: everything passes
    }

    bool passes(std::string_view checkpoint) const noexcept {
        if (!globs_.ok()) return true;
        const bool is_tokens = checkpoint == tokens_checkpoint;
        bool any_wanted = false;
        bool wanted = false;
        std::string_view part;
        for (std::string_view rest = globs_.view(); next_part(rest, part);) {
            if (!part.empty() && part[0] == '!') {
                part = trim(part.substr(1));
                if (part.empty()) continue;
                if (is_tokens ? part == checkpoint : glob_matches(part, checkpoint)) return false;
            } else if (!part.empty()) {
                any_wanted = true;
                wanted = wanted || glob_matches(part, checkpoint);
            }
        }
        return is_tokens || wanted || !any_wanted;
    }

private:
    OwnedText globs_;
};

/// A set of positions, `0-3,7,20-`; empty means every position.
class TokenSet {
public:
    TokenSet() noexcept = default;
    TokenSet(const TokenSet&) = delete;
    TokenSet& operator=(const TokenSet&) = delete;
    ~TokenSet() { std::free(ranges_); }

    /// False when a part is neither a position, a range nor an open range; `bad` is then that part,
    /// and the set stays as it was. Also false, with an empty `bad`, without memory.
    bool assign(std::string_view text, std::string_view& bad) noexcept {
        std::size_t parts = 1;
        for (char c : text) parts += c == ',';
        Range* ranges = static_cast<Range*>(std::malloc(parts * sizeof(Range)));
        bad = {};
        if (ranges == nullptr) return false;
        std::size_t count = 0;
        std::string_view part;
        for (std::string_view rest = text; next_part(rest, part);) {
            if (part.empty()) continue;
            if (!parse_range(part, ranges[count])) {
                bad = part;
                std::free(ranges);
                return false;
            }
            ++count;
        }
        std::free(ranges_);
        ranges_ = ranges;
        count_ = count;
        return true;
    }

    /// True when any of the `n_tokens` positions from `first` on is in the set: a prefill batch is one
    /// tensor and is logged whole.
    bool overlaps(std::int64_t first, std::uint64_t n_tokens) const noexcept {
        if (count_ == 0) return true;
        const std::uint64_t more = n_tokens == 0 ? 0 : n_tokens - 1;
        const bool fits = more <= static_cast<std::uint64_t>(INT64_MAX) && first <= INT64_MAX - static_cast<std::int64_t>(more);
        const std::int64_t last = fits ? first + static_cast<std::int64_t>(more) : INT64_MAX;
        for (std::size_t i = 0; i < count_; ++i) {
            if (ranges_[i].first <= last && first <= ranges_[i].last) return true;
        }
        return false;
    }

private:
    struct Range {
        std::int64_t first;
        std::int64_t last;
    };

    static bool parse_position(std::string_view text, std::int64_t& position) noexcept {
        std::uint64_t value = 0;
        if (!parse_count(trim(text), value) || value > static_cast<std::uint64_t>(INT64_MAX)) return false;
        position = static_cast<std::int64_t>(value);
        return true;
    }

    static bool parse_range(std::string_view part, Range& range) noexcept {
        const std::size_t dash = part.find('-');
        if (!parse_position(part.substr(0, dash), range.first)) return false;
        range.last = range.first;
        if (dash == std::string_view::npos) return true;
        const std::string_view last = part.substr(dash + 1);
        if (last.empty()) {
            range.last = INT64_MAX;
            return true;
        }
        return parse_position(last, range.last) && range.first <= range.last;
    }

    Range* ranges_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace detail
}  // namespace orch_log

#endif
