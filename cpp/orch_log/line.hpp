// Composing one JSON line in memory that was reserved beforehand.
#ifndef ORCH_LOG_LINE_HPP
#define ORCH_LOG_LINE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "f32_batch.hpp"
#include "number.hpp"

namespace orch_log {
namespace detail {

/// Bytes that `text` can need as a JSON string: every byte as `\u00XX`, and the quotes.
constexpr std::size_t quoted_bytes(std::string_view text) noexcept { return 6 * text.size() + 2; }

/// Length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
inline std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
        return i < text.size() && byte(i) >= low && byte(i) <= high;
    };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {  // no overlong forms, no surrogates
        const bool ok = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && follows(2);
        return ok ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {  // nothing past U+10FFFF
        const bool ok = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3);
        return ok ? 4 : 0;
    }
    return 0;
}

/// Writes JSON without looking at the room left: `reserve` with an upper bound comes first. One check
/// a record instead of one a number is what keeps a record near the cost of its `write`.
class Line {
public:
    explicit Line(char* begin) noexcept : begin_(begin), at_(begin) {}

    std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
    const char* data() const noexcept { return begin_; }

    template <std::size_t N>
    void literal(const char (&text)[N]) noexcept {
        std::memcpy(at_, text, N - 1);
        at_ += N - 1;
    }
    void raw(char c) noexcept { *at_++ = c; }
    void verbatim(std::string_view text) noexcept {
        if (!text.empty()) std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void lower_case(std::string_view text) noexcept {
        for (char c : text) *at_++ = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    void number(std::uint64_t value) noexcept { at_ = put_unsigned(at_, value); }
    void integer(std::int64_t value) noexcept { at_ = put_integer(at_, value); }
    void number(float value) noexcept { at_ = put_f32(at_, value); }
    void number(double value) noexcept { at_ = put_f64(at_, value); }
    /// Each followed by a comma.
    void numbers(const float* values, std::size_t count) noexcept { at_ = put_f32_list(at_, values, count); }
    /// Takes back a comma or whatever else came last.
    void drop_last() noexcept { --at_; }

    /// A JSON string. Bytes that are not UTF-8 become U+FFFD, since a line must stay readable whatever
    /// an engine passes as a name.
    __attribute__((noinline)) void quoted(std::string_view text) noexcept {
        *at_++ = '"';
        // Names are mostly plain: eight bytes at a time, the last eight overlapping those before, until some need a
        // second look.
        if (text.size() >= 8) {
            const char* last = text.data() + text.size() - 8;
            const char* from = text.data();
            std::uint64_t bytes = load<std::uint64_t>(from);
            while (from < last && all_plain(bytes)) {
                std::memcpy(at_, &bytes, 8);
                const std::ptrdiff_t step = last - from < 8 ? last - from : 8;
                at_ += step;
                from += step;
                bytes = load<std::uint64_t>(from);
            }
            text.remove_prefix(static_cast<std::size_t>(from - text.data()));
            if (all_plain(bytes)) {
                std::memcpy(at_, &bytes, 8);
                at_ += 8;
                text.remove_prefix(8);
            }
        }
        while (!text.empty() && is_plain(text[0])) {
            *at_++ = text[0];
            text.remove_prefix(1);
        }
        while (!text.empty()) text.remove_prefix(escaped(text));
        *at_++ = '"';
    }

private:
    static bool is_plain(char c) noexcept {
        const unsigned char byte = static_cast<unsigned char>(c);
        return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
    }

    /// Whether none of eight bytes is a control character, a quote, a backslash or past ASCII. A false "no" only costs time.
    static bool all_plain(std::uint64_t bytes) noexcept {
        constexpr std::uint64_t ones = 0x0101010101010101u;
        constexpr std::uint64_t high = 0x8080808080808080u;
        const auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word & high; };
        return ((bytes | (bytes - ones * 0x20) | has_zero(bytes ^ ones * '"') | has_zero(bytes ^ ones * '\\')) & high) == 0;
    }

    std::size_t escaped(std::string_view text) noexcept {
        static constexpr char hex[] = "0123456789abcdef";
        const unsigned char first = static_cast<unsigned char>(text[0]);
        if (first == '"' || first == '\\') {
            *at_++ = '\\';
            *at_++ = static_cast<char>(first);
            return 1;
        }
        if (first < 0x20) {
            literal("\\u00");
            *at_++ = hex[first >> 4];
            *at_++ = hex[first & 15];
            return 1;
        }
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            literal("\xef\xbf\xbd");
            return 1;
        }
        std::memcpy(at_, text.data(), length);
        at_ += length;
        return length;
    }

    char* begin_;
    char* at_;
};

}  // namespace detail
}  // namespace orch_log

#endif
