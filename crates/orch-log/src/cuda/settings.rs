//! What the environment says about logging from the device.

use std::ffi::OsString;

/// How a tensor's reading fits between the engine's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Read in the engine's stream, between its kernels: always right, delays what follows by the reading.
    InStream,
    /// Copied in the engine's stream, the copy read beside it: right although buffers are reused.
    Snapshot,
    /// Read at the end of the pass: only for buffers that stay as they are until then.
    Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceSettings {
    /// `ORCH_LOG_CUDA_MODE`: `in_stream`, `snapshot`, `side`.
    pub(super) mode: Mode,
    /// `ORCH_LOG_CUDA_SNAPSHOTS`: megabytes for each stream or graph.
    pub(super) snapshot_bytes: u64,
    /// `ORCH_LOG_CUDA_BUFFERS`: megabytes on the host for payloads on their way, for each context.
    pub(super) buffer_bytes: u64,
    /// `ORCH_LOG_CUDA_WAIT`: milliseconds that a pass may wait for the host at its end.
    pub(super) wait_ns: u64,
    /// `ORCH_LOG_CUDA_SLOTS`: records in the ring, rounded up to a power of two.
    pub(super) slots: u32,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Snapshot,
            snapshot_bytes: 64 << 20,
            buffer_bytes: 512 << 20,
            wait_ns: 0,
            slots: 16384,
        }
    }
}

impl DeviceSettings {
    /// The settings, and what is wrong with those that could not be used.
    pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        let mut get = |name: &str, expected: &str, apply: &mut dyn FnMut(&str) -> Option<()>| {
            let Some(value) = lookup(name) else { return };
            let value = value.to_string_lossy();
            if !value.trim().is_empty() && apply(value.trim()).is_none() {
                problems.push(format!(
                    "{name}=`{value}` is not usable (expected {expected}); the default is used"
                ));
            }
        };
        get(
            "ORCH_LOG_CUDA_MODE",
            "`snapshot`, `in_stream` or `side`",
            &mut |text| {
                settings.mode = match text {
                    "in_stream" => Mode::InStream,
                    "snapshot" => Mode::Snapshot,
                    "side" => Mode::Side,
                    _ => return None,
                };
                Some(())
            },
        );
        get(
            "ORCH_LOG_CUDA_SNAPSHOTS",
            "megabytes from 1 to 65536",
            &mut |text| {
                let megabytes: u64 = text.parse().ok()?;
                (1..=65536)
                    .contains(&megabytes)
                    .then(|| settings.snapshot_bytes = megabytes << 20)
            },
        );
        get(
            "ORCH_LOG_CUDA_BUFFERS",
            "megabytes from 1 to 1048576",
            &mut |text| {
                let megabytes: u64 = text.parse().ok()?;
                (1..=1 << 20)
                    .contains(&megabytes)
                    .then(|| settings.buffer_bytes = megabytes << 20)
            },
        );
        get(
            "ORCH_LOG_CUDA_WAIT",
            "milliseconds from 0 to 3600000",
            &mut |text| {
                let milliseconds: u64 = text.parse().ok()?;
                (milliseconds <= 3_600_000).then(|| settings.wait_ns = milliseconds * 1_000_000)
            },
        );
        get(
            "ORCH_LOG_CUDA_SLOTS",
            "records from 16 to 16777216",
            &mut |text| {
                let slots: u32 = text.parse().ok()?;
                (16..=1 << 24)
                    .contains(&slots)
                    .then(|| settings.slots = slots.next_power_of_two())
            },
        );
        (settings, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (DeviceSettings, Vec<String>) {
        DeviceSettings::from_lookup(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn usable_values_are_taken_and_others_told() {
        assert_eq!(read(&[]), (DeviceSettings::default(), Vec::new()));
        let (settings, problems) = read(&[
            ("ORCH_LOG_CUDA_MODE", "side"),
            ("ORCH_LOG_CUDA_SNAPSHOTS", "512"),
            ("ORCH_LOG_CUDA_BUFFERS", "4"),
            ("ORCH_LOG_CUDA_WAIT", "1000"),
            ("ORCH_LOG_CUDA_SLOTS", "1000"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = DeviceSettings {
            mode: Mode::Side,
            snapshot_bytes: 512 << 20,
            buffer_bytes: 4 << 20,
            wait_ns: 1_000_000_000,
            slots: 1024,
        };
        assert_eq!(settings, expected);
        let (settings, problems) = read(&[
            ("ORCH_LOG_CUDA_MODE", "fast"),
            ("ORCH_LOG_CUDA_SNAPSHOTS", "0"),
            ("ORCH_LOG_CUDA_BUFFERS", "0"),
            ("ORCH_LOG_CUDA_WAIT", "3600001"),
            ("ORCH_LOG_CUDA_SLOTS", "15"),
        ]);
        assert_eq!(settings, DeviceSettings::default());
        assert_eq!(problems.len(), 5);
        assert_eq!(
            problems[0],
            "ORCH_LOG_CUDA_MODE=`fast` is not usable (expected `snapshot`, `in_stream` or `side`); the default is used"
        );
    }
}
