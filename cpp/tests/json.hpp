// Whether a text is JSON by the letter (RFC 8259). Written for the tests, so that they do not have to believe the writer.
#ifndef ORCH_LOG_TESTS_JSON_HPP
#define ORCH_LOG_TESTS_JSON_HPP

#include <cstddef>
#include <cstring>
#include <string>

namespace json {

class Checker {
public:
    explicit Checker(const std::string& text) : text_(text) {}
    bool whole() {
        blanks();
        if (!value(0)) return false;
        blanks();
        return at_ == text_.size();
    }

private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) {
        if (peek() != c || at_ >= text_.size()) return false;
        ++at_;
        return true;
    }
    void blanks() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') ++at_;
    }
    bool word(const char* word) {
        if (text_.compare(at_, std::strlen(word), word) != 0) return false;
        at_ += std::strlen(word);
        return true;
    }
    bool digits() {
        const std::size_t from = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ > from;
    }
    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }
    bool string() {
        if (!take('"')) return false;
        while (at_ < text_.size()) {
            const unsigned char c = static_cast<unsigned char>(text_[at_++]);
            if (c == '"') return true;
            if (c < 0x20) return false;
            if (c != '\\') continue;
            const char escape = peek();
            ++at_;
            if (escape == 'u') {
                for (int i = 0; i < 4; ++i, ++at_) {
                    if (std::strchr("0123456789abcdefABCDEF", peek()) == nullptr || peek() == '\0') return false;
                }
            } else if (escape == '\0' || std::strchr("\"\\/bfnrt", escape) == nullptr) {
                return false;
            }
        }
        return false;
    }
    bool value(int depth) {
        if (depth > 64) return false;
        blanks();
        switch (peek()) {
            case '{': return list('{', '}', depth, true);
            case '[': return list('[', ']', depth, false);
            case '"': return string();
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            default: return number();
        }
    }
    bool list(char open, char close, int depth, bool named) {
        take(open);
        blanks();
        if (take(close)) return true;
        do {
            blanks();
            if (named) {
                if (!string()) return false;
                blanks();
                if (!take(':')) return false;
            }
            if (!value(depth + 1)) return false;
            blanks();
        } while (take(','));
        return take(close);
    }

    const std::string& text_;
    std::size_t at_ = 0;
};

inline bool is_valid(const std::string& text) { return Checker(text).whole(); }

/// The text of a top-level number or string field of a record; empty when it is not there.
inline std::string field(const std::string& line, const std::string& name) {
    const std::string key = "\"" + name + "\":";
    const std::size_t at = line.find(key);
    if (at == std::string::npos) return "";
    std::size_t from = at + key.size();
    if (line[from] == '"') {
        const std::size_t end = line.find('"', from + 1);
        return line.substr(from + 1, end - from - 1);
    }
    if (line[from] == '[') return line.substr(from, line.find(']', from) - from + 1);
    return line.substr(from, line.find_first_of(",}", from) - from);
}

}  // namespace json

#endif
