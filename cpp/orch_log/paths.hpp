// The files of a trace beside `NAME.jsonl`.
#ifndef ORCH_LOG_PATHS_HPP
#define ORCH_LOG_PATHS_HPP

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string_view>

#include "text.hpp"

namespace orch_log {
namespace detail {

/// A path made of pieces, without allocating. Too long a path is empty, and opening it then fails.
class PathText {
public:
    /// `x/run.jsonl` → `x/run` + suffix; any other extension is kept.
    PathText(std::string_view trace, const char* suffix) noexcept {
        constexpr std::string_view extension = ".jsonl";
        const std::size_t slash = trace.rfind('/');
        const std::size_t name = slash == std::string_view::npos ? 0 : slash + 1;
        if (trace.size() > name + extension.size() &&
            trace.substr(trace.size() - extension.size()) == extension) {
            trace.remove_suffix(extension.size());
        }
        const int length = std::snprintf(text_, sizeof text_, "%.*s%s", static_cast<int>(trace.size()), trace.data(), suffix);
        if (length < 0 || static_cast<std::size_t>(length) >= sizeof text_) text_[0] = '\0';
    }

    const char* c_str() const noexcept { return text_; }
    /// The part after the last slash.
    std::string_view file_name() const noexcept {
        const std::string_view path = text_;
        const std::size_t slash = path.rfind('/');
        return slash == std::string_view::npos ? path : path.substr(slash + 1);
    }

private:
    char text_[4096];
};

}  // namespace detail
}  // namespace orch_log

#endif
