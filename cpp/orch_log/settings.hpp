// What is logged, how much of it, and where to.
#ifndef ORCH_LOG_SETTINGS_HPP
#define ORCH_LOG_SETTINGS_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "filter.hpp"
#include "text.hpp"

namespace orch_log {

/// How much a record says about the elements that it does not write out.
enum class Detail : std::uint8_t {
    values,  ///< The first values only.
    stats,   ///< Also statistics and a sketch over all elements.
    full,    ///< Also all elements, in a payload file.
};

/// Settings of a recorder, each with its default. Text is borrowed until the recorder is open.
struct Settings {
    static constexpr std::uint64_t all_values = UINT64_MAX;
    /// What a crash may lose should stay a choice, not an accident.
    static constexpr std::uint64_t max_buffer = std::uint64_t{64} << 20;

    std::string_view path;                ///< The trace, `NAME.jsonl`. `ORCH_LOG_FILE`.
    std::string_view team;                ///< Who logs. `ORCH_LOG_TEAM`; default the program's name.
    std::uint64_t values = 10;            ///< `ORCH_LOG_VALUES`: a count, `0` or `all`.
    Detail detail = Detail::stats;        ///< `ORCH_LOG_DETAIL`: `values`, `stats` or `full`.
    std::string_view filter;              ///< `ORCH_LOG_FILTER`: globs, `!` negates; default everything.
    std::string_view tokens;              ///< `ORCH_LOG_TOKENS`: positions such as `0-3,7,20-`; default all.
    std::uint64_t max_bytes = UINT64_MAX; ///< `ORCH_LOG_MAX_BYTES`: trace and payload bytes of this recorder.
    std::uint64_t buffer = 0;             ///< `ORCH_LOG_BUFFER`: bytes held back per thread; default none.
    bool timestamps = false;              ///< `ORCH_LOG_TS=1`: write `ts_ns`, nanoseconds since 1970.
    bool truncate = false;                ///< Start the trace anew instead of appending to it.
};

namespace detail {

/// Complaints about settings, for the one line that the logger ever prints.
class Problems {
public:
    void add(const char* variable, const char* value, const char* expected, const char* instead) noexcept {
        const char* separator = size_ == 0 ? "" : "; ";
        const int written = std::snprintf(text_ + size_, sizeof text_ - size_, "%s%s=`%.300s` %s; %s", separator,
                                          variable, value, expected, instead);
        if (written > 0 && size_ + static_cast<std::size_t>(written) < sizeof text_) {
            size_ += static_cast<std::size_t>(written);
        }
        text_[size_] = '\0';
    }
    const char* text() const noexcept { return text_; }
    bool any() const noexcept { return size_ > 0; }

private:
    char text_[4096] = {};
    std::size_t size_ = 0;
};

inline std::string_view program_name() noexcept {
#if defined(__GLIBC__)
    const char* name = program_invocation_short_name;
#elif defined(__APPLE__) || defined(__FreeBSD__)
    const char* name = getprogname();
#else
    const char* name = nullptr;
#endif
    if (name == nullptr || *name == '\0') return "unknown";
    const std::string_view text = name;
    const std::size_t dot = text.rfind('.');
    return dot == std::string_view::npos || dot == 0 ? text : text.substr(0, dot);
}

/// Reads one variable with `apply`, which answers false for an unusable value. Unset and blank mean
/// the default.
template <class Apply>
inline void read_variable(const char* name, const char* expected, const char* instead, Problems& problems,
                          Apply apply) noexcept {
    const char* value = std::getenv(name);
    if (value == nullptr) return;
    const std::string_view text = trim(value);
    if (text.empty() || apply(text)) return;
    problems.add(name, value, expected, instead);
}

inline bool parse_values(std::string_view text, std::uint64_t& values) noexcept {
    if (equals_ignoring_case(text, "all")) {
        values = Settings::all_values;
        return true;
    }
    std::uint64_t count = 0;
    if (!parse_count(text, count)) return false;
    values = count;
    return true;
}

inline bool parse_detail(std::string_view text, Detail& detail) noexcept {
    if (equals_ignoring_case(text, "values")) return detail = Detail::values, true;
    if (equals_ignoring_case(text, "stats")) return detail = Detail::stats, true;
    if (equals_ignoring_case(text, "full")) return detail = Detail::full, true;
    return false;
}

/// Settings from `ORCH_LOG_*`; an empty path when `ORCH_LOG_FILE` is unset. Unusable values keep their
/// default and are reported.
inline Settings settings_from_env(Problems& problems) noexcept {
    Settings settings;
    const char* path = std::getenv("ORCH_LOG_FILE");
    if (path == nullptr || *path == '\0') return settings;
    settings.path = path;
    settings.team = program_name();
    read_variable("ORCH_LOG_TEAM", "", "", problems, [&](std::string_view text) {
        settings.team = text;
        return true;
    });
    read_variable("ORCH_LOG_VALUES", "is not usable (expected a count, `0` or `all`)", "the first 10 values are logged", problems,
                  [&](std::string_view text) { return parse_values(text, settings.values); });
    read_variable("ORCH_LOG_DETAIL", "is not usable (expected `values`, `stats` or `full`)", "`stats` is used", problems,
                  [&](std::string_view text) { return parse_detail(text, settings.detail); });
    read_variable("ORCH_LOG_FILTER", "", "", problems, [&](std::string_view text) {
        settings.filter = text;
        return true;
    });
    read_variable("ORCH_LOG_TOKENS", "is not usable (expected positions and ranges such as `0-3,7,20-`)", "every position is logged",
                  problems, [&](std::string_view text) {
                      TokenSet set;
                      std::string_view bad;
                      if (!set.assign(text, bad)) return false;
                      settings.tokens = text;
                      return true;
                  });
    read_variable("ORCH_LOG_MAX_BYTES", "is not usable (expected bytes such as `500M`, `0` for no limit)", "no limit is set", problems,
                  [&](std::string_view text) {
                      std::uint64_t bytes = 0;
                      if (!parse_bytes(text, bytes)) return false;
                      settings.max_bytes = bytes == 0 ? UINT64_MAX : bytes;
                      return true;
                  });
    read_variable("ORCH_LOG_BUFFER", "is not usable (expected bytes up to `64M` such as `64K`, `0` for none)", "nothing is buffered",
                  problems, [&](std::string_view text) {
                      std::uint64_t bytes = 0;
                      if (!parse_bytes(text, bytes) || bytes > Settings::max_buffer) return false;
                      settings.buffer = bytes;
                      return true;
                  });
    read_variable("ORCH_LOG_TS", "is not usable (expected `1` or `0`)", "no timestamps are written", problems,
                  [&](std::string_view text) {
                      const bool on = text == "1" || text == "true" || text == "on";
                      if (!on && text != "0" && text != "false" && text != "off") return false;
                      settings.timestamps = on;
                      return true;
                  });
    return settings;
}

}  // namespace detail
}  // namespace orch_log

#endif
