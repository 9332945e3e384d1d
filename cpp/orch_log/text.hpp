// Text that is owned without exceptions, and the few things done with borrowed text.
#ifndef ORCH_LOG_TEXT_HPP
#define ORCH_LOG_TEXT_HPP

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace orch_log {
namespace detail {

/// A copy of some text with a terminating zero. `std::string` would throw where an engine's memory
/// is short; this is empty then, and `ok()` says so.
class OwnedText {
public:
    OwnedText() noexcept = default;
    explicit OwnedText(std::string_view text) noexcept { assign(text); }
    OwnedText(const OwnedText&) = delete;
    OwnedText& operator=(const OwnedText&) = delete;
    ~OwnedText() { std::free(data_); }

    bool assign(std::string_view text) noexcept {
        char* copy = static_cast<char*>(std::malloc(text.size() + 1));
        if (copy == nullptr) return false;
        if (!text.empty()) std::memcpy(copy, text.data(), text.size());
        copy[text.size()] = '\0';
        std::free(data_);
        data_ = copy;
        size_ = text.size();
        return true;
    }

    bool ok() const noexcept { return data_ != nullptr; }
    const char* c_str() const noexcept { return data_ == nullptr ? "" : data_; }
    std::string_view view() const noexcept { return {c_str(), size_}; }

private:
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

inline std::string_view trim(std::string_view text) noexcept {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Takes the part before the next comma off `text`, trimmed; false at the end.
inline bool next_part(std::string_view& text, std::string_view& part) noexcept {
    if (text.data() == nullptr) return false;
    const std::size_t comma = text.find(',');
    part = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    return true;
}

/// Equal but for the case of ASCII letters; `lower` is lower case already.
inline bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != lower[i]) return false;
    }
    return true;
}

/// Reads digits only: no sign, no blank. False for anything else and on overflow.
inline bool parse_count(std::string_view text, std::uint64_t& value) noexcept {
    value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return false;
        const std::uint64_t digit = static_cast<std::uint64_t>(c - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    return !text.empty();
}

/// Bytes such as `4096`, `64K`, `2 GiB`; suffixes are powers of 1024. False for anything else.
inline bool parse_bytes(std::string_view text, std::uint64_t& bytes) noexcept {
    text = trim(text);
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    if (!parse_count(text.substr(0, digits), bytes)) return false;
    const std::string_view suffix = trim(text.substr(digits));
    int shift = 0;
    if (!suffix.empty() && !equals_ignoring_case(suffix, "b")) {
        static constexpr char letters[] = "kmgt";
        const char first = static_cast<char>(suffix[0] | 0x20);
        const std::string_view rest = suffix.substr(1);
        const char* letter = first == '\0' ? nullptr : std::strchr(letters, first);
        if (letter == nullptr || *letter == '\0') return false;
        if (!rest.empty() && !equals_ignoring_case(rest, "b") && !equals_ignoring_case(rest, "ib")) return false;
        shift = 10 * static_cast<int>(letter - letters + 1);
    }
    if (bytes > (UINT64_MAX >> shift)) return false;
    bytes <<= shift;
    return true;
}

}  // namespace detail
}  // namespace orch_log

#endif
