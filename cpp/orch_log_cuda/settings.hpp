// What the environment says about logging from the device.
#ifndef ORCH_LOG_CUDA_SETTINGS_HPP
#define ORCH_LOG_CUDA_SETTINGS_HPP

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace orch_log {
namespace cuda {

/// How a tensor's reading fits between the engine's own work.
enum class Mode : std::uint8_t {
    in_stream,  ///< Read in the engine's stream, between its kernels: always right, delays what follows by the reading.
    snapshot,   ///< Copied in the engine's stream, the copy read beside it: right although buffers are reused.
    side,       ///< Read beside the engine's stream: only for buffers that stay as they are until the pass ends.
};

struct DeviceSettings {
    Mode mode = Mode::snapshot;                ///< `ORCH_LOG_CUDA_MODE`: in_stream, snapshot, side.
    std::uint64_t snapshot_bytes = 64u << 20;  ///< `ORCH_LOG_CUDA_SNAPSHOTS`: megabytes for each stream or graph.
    std::uint64_t buffer_bytes = 512u << 20;   ///< `ORCH_LOG_CUDA_BUFFERS`: megabytes on the host for payloads on their way, for each device.
    std::uint64_t wait_ns = 0;                 ///< `ORCH_LOG_CUDA_WAIT`: milliseconds that a pass may wait for the host at its end.
    std::uint32_t slots = 16384;               ///< `ORCH_LOG_CUDA_SLOTS`: records in the ring, a power of two.
};

namespace impl {

inline std::uint64_t number_from_env(const char* name, std::uint64_t fallback, std::uint64_t least, std::uint64_t most) noexcept {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return fallback;
    char* end = nullptr;
    const unsigned long long value = std::strtoull(text, &end, 10);
    return *end == '\0' && value >= least && value <= most ? value : fallback;
}

inline DeviceSettings device_settings_from_env() noexcept {
    DeviceSettings settings;
    const char* text = std::getenv("ORCH_LOG_CUDA_MODE");
    const std::string_view mode = text == nullptr ? std::string_view() : std::string_view(text);
    if (mode == "in_stream") settings.mode = Mode::in_stream;
    if (mode == "side") settings.mode = Mode::side;
    settings.snapshot_bytes = number_from_env("ORCH_LOG_CUDA_SNAPSHOTS", 64, 1, 65536) << 20;
    settings.buffer_bytes = number_from_env("ORCH_LOG_CUDA_BUFFERS", 512, 1, 1u << 20) << 20;
    settings.wait_ns = number_from_env("ORCH_LOG_CUDA_WAIT", 0, 0, 3600000) * 1000000;
    const std::uint64_t wanted = number_from_env("ORCH_LOG_CUDA_SLOTS", settings.slots, 16, 1u << 24);
    settings.slots = 16;
    while (settings.slots < wanted) settings.slots *= 2;
    return settings;
}

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
