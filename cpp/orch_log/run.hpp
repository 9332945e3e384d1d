// `NAME.run.json`: what a run was.
#ifndef ORCH_LOG_RUN_HPP
#define ORCH_LOG_RUN_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "file.hpp"
#include "line.hpp"
#include "paths.hpp"

namespace orch_log {

/// The model file of a run. Empty parts are left out.
struct ModelInfo {
    std::string_view path;          ///< Where it was.
    std::string_view sha256;        ///< Of the file, lower-case hexadecimal.
    std::string_view architecture;  ///< `llama`, `qwen2`, …
    std::string_view weights;       ///< Storage type of most weights: `Q4_1`, `F16`, …
    std::uint64_t layers = 0;       ///< Number of blocks.
};

/// A setting that decides the numbers: flash attention, type of the KV cache, …
struct RunSetting {
    std::string_view name;
    std::string_view value;
};

/// What the engine knows about its run. Every part is optional; text and arrays are borrowed.
struct Run {
    ModelInfo model;                            ///< Left out when its path is empty.
    std::string_view prompt;                    ///< As text.
    const std::int32_t* tokens = nullptr;       ///< Token ids: those of the prompt, then every pick.
    std::size_t token_count = 0;                ///< How many.
    std::string_view device;                    ///< What computed: `cpu`, `cuda:0`, …
    std::uint64_t threads = 0;                  ///< Threads that computed.
    const RunSetting* settings = nullptr;       ///< Anything else that decides the numbers.
    std::size_t setting_count = 0;              ///< How many.
    std::string_view version;                   ///< Of the engine.
};

namespace detail {

inline constexpr std::uint64_t format_version = 1;

/// The command line, zero bytes between the arguments. Where the system does not tell, only the name.
class CommandLine {
public:
    explicit CommandLine(std::string_view fallback) noexcept : size_(0) {
        const int fd = ::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && size_ < sizeof text_) {
            const ssize_t got = ::read(fd, text_ + size_, sizeof text_ - size_);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            size_ += static_cast<std::size_t>(got);
        }
        if (fd >= 0) ::close(fd);
        if (size_ == 0 && fallback.size() < sizeof text_) {
            std::memcpy(text_, fallback.data(), fallback.size());
            size_ = fallback.size();
        }
    }
    /// The next argument off the front; false at the end.
    bool next(std::string_view& argument) noexcept {
        if (at_ >= size_) return false;
        const std::string_view rest(text_ + at_, size_ - at_);
        argument = rest.substr(0, rest.find('\0'));
        at_ += argument.size() + 1;
        return true;
    }
    std::size_t size() const noexcept { return size_; }

private:
    char text_[16384];
    std::size_t size_;
    std::size_t at_ = 0;
};

/// Composes the file: one JSON object, one field a line.
class RunComposer {
public:
    explicit RunComposer(Line& line) noexcept : line_(line) {}

    static std::size_t reserve_bytes(const Run& run, std::string_view team, std::size_t command_bytes) noexcept {
        std::size_t bytes = 4096 + team.size() + 8 * command_bytes + 14 * run.token_count;
        for (std::string_view text : {run.model.path, run.model.sha256, run.model.architecture, run.model.weights,
                                      run.prompt, run.device, run.version}) {
            bytes += quoted_bytes(text);
        }
        for (std::size_t i = 0; i < run.setting_count; ++i) {
            bytes += quoted_bytes(run.settings[i].name) + quoted_bytes(run.settings[i].value) + 4;
        }
        return bytes;
    }

    /// `team` is a JSON string already.
    void file(const Run& run, std::string_view team, CommandLine& command, std::string_view host, long pid,
              std::string_view started_at) noexcept {
        line_.literal("{\n  \"format_version\": ");
        line_.number(format_version);
        name("team");
        line_.verbatim(team);
        name("argv");
        line_.raw('[');
        std::string_view argument;
        for (bool first = true; command.next(argument); first = false) {
            if (!first) line_.literal(", ");
            line_.quoted(argument);
        }
        line_.raw(']');
        field("host", host);
        number("pid", static_cast<std::uint64_t>(pid));
        field("started_at", started_at);
        engine(run);
        line_.literal("\n}\n");
    }

private:
    void engine(const Run& run) noexcept {
        if (!run.version.empty()) field("version", run.version);
        if (!run.model.path.empty()) model(run.model);
        if (!run.prompt.empty()) field("prompt", run.prompt);
        if (run.token_count > 0) {
            name("tokens");
            line_.raw('[');
            for (std::size_t i = 0; i < run.token_count; ++i) {
                if (i > 0) line_.literal(", ");
                line_.integer(run.tokens[i]);
            }
            line_.raw(']');
        }
        if (!run.device.empty()) field("device", run.device);
        if (run.threads > 0) number("threads", run.threads);
        if (run.setting_count == 0) return;
        name("settings");
        line_.raw('{');
        for (std::size_t i = 0; i < run.setting_count; ++i) {
            if (i > 0) line_.literal(", ");
            line_.quoted(run.settings[i].name);
            line_.literal(": ");
            line_.quoted(run.settings[i].value);
        }
        line_.raw('}');
    }

    void model(const ModelInfo& model) noexcept {
        name("model");
        line_.literal("{\"path\": ");
        line_.quoted(model.path);
        part("sha256", model.sha256);
        part("architecture", model.architecture);
        part("weights", model.weights);
        if (model.layers > 0) {
            line_.literal(", \"layers\": ");
            line_.number(model.layers);
        }
        line_.raw('}');
    }

    void part(std::string_view key, std::string_view value) noexcept {
        if (value.empty()) return;
        line_.literal(", ");
        line_.quoted(key);
        line_.literal(": ");
        line_.quoted(value);
    }

    void name(std::string_view key) noexcept {
        line_.literal(",\n  ");
        line_.quoted(key);
        line_.literal(": ");
    }

    void field(std::string_view key, std::string_view value) noexcept {
        name(key);
        line_.quoted(value);
    }

    void number(std::string_view key, std::uint64_t value) noexcept {
        name(key);
        line_.number(value);
    }

    Line& line_;
};

/// Writes a whole new file and puts it in the place of the old one, so that no reader sees half of it.
/// False with `errno` set.
inline bool write_run_file(std::string_view trace, std::string_view team, const Run& run, std::time_t started) noexcept {
    CommandLine command("unknown");
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    struct tm utc;
    char started_at[32] = {};
    if (gmtime_r(&started, &utc) != nullptr) std::strftime(started_at, sizeof started_at, "%Y-%m-%dT%H:%M:%SZ", &utc);
    char* memory = static_cast<char*>(std::malloc(RunComposer::reserve_bytes(run, team, command.size())));
    if (memory == nullptr) return errno = ENOMEM, false;
    Line line(memory);
    RunComposer(line).file(run, team, command, host, getpid(), started_at);

    char suffix[48];
    std::snprintf(suffix, sizeof suffix, ".run.json.%ld", static_cast<long>(getpid()));
    const PathText temporary(trace, suffix);
    File file;
    bool written = file.open_path(temporary.c_str(), O_TRUNC) &&
                   file.write_at(reinterpret_cast<const unsigned char*>(line.data()), line.size(), 0) &&
                   std::rename(temporary.c_str(), PathText(trace, ".run.json").c_str()) == 0;
    const int error = errno;
    if (!written) unlink(temporary.c_str());
    std::free(memory);
    errno = error;
    return written;
}

/// What is known without asking the engine. A trace that others already log into keeps its description; one
/// that cannot be written weakens later checks but is no reason not to log.
inline void describe_at_start(const char* trace, std::string_view team, bool truncated, std::time_t started) noexcept {
    struct stat info;
    if (stat(trace, &info) != 0 || !S_ISREG(info.st_mode)) return;
    const bool first = truncated || info.st_size == 0;
    if (first || stat(PathText(trace, ".run.json").c_str(), &info) != 0) write_run_file(trace, team, Run{}, started);
}

}  // namespace detail
}  // namespace orch_log

#endif
