// What the environment says about logging from the device.
#ifndef ORCH_LOG_CUDA_SETTINGS_HPP
#define ORCH_LOG_CUDA_SETTINGS_HPP

#include <cstdint>
#include <string_view>

#include "../orch_log/settings.hpp"

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

/// Unusable values keep their default and are reported.
inline DeviceSettings device_settings_from_env(orch_log::detail::Problems& problems) noexcept {
    using orch_log::detail::equals_ignoring_case;
    using orch_log::detail::read_variable;
    constexpr const char* instead = "the default is used";
    DeviceSettings settings;
    const auto number = [&](const char* name, const char* expected, std::uint64_t least, std::uint64_t most, std::uint64_t unit, std::uint64_t& to) {
        read_variable(name, expected, instead, problems, [&](std::string_view text) {
            std::uint64_t value = 0;
            if (!orch_log::detail::parse_count(text, value) || value < least || value > most) return false;
            to = value * unit;
            return true;
        });
    };
    read_variable("ORCH_LOG_CUDA_MODE", "is not usable (expected `snapshot`, `in_stream` or `side`)", instead, problems, [&](std::string_view text) {
        if (equals_ignoring_case(text, "in_stream")) return settings.mode = Mode::in_stream, true;
        if (equals_ignoring_case(text, "snapshot")) return settings.mode = Mode::snapshot, true;
        if (equals_ignoring_case(text, "side")) return settings.mode = Mode::side, true;
        return false;
    });
    constexpr std::uint64_t mega = 1u << 20;
    number("ORCH_LOG_CUDA_SNAPSHOTS", "is not usable (expected megabytes from 1 to 65536)", 1, 65536, mega, settings.snapshot_bytes);
    number("ORCH_LOG_CUDA_BUFFERS", "is not usable (expected megabytes from 1 to 1048576)", 1, mega, mega, settings.buffer_bytes);
    number("ORCH_LOG_CUDA_WAIT", "is not usable (expected milliseconds up to 3600000)", 0, 3600000, 1000000, settings.wait_ns);
    std::uint64_t slots = settings.slots;
    number("ORCH_LOG_CUDA_SLOTS", "is not usable (expected records from 16 to 16777216)", 16, 1u << 24, 1, slots);
    settings.slots = 16;
    while (settings.slots < slots) settings.slots *= 2;
    return settings;
}

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
