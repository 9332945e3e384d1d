//! Writing `NAME.run.json`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::format::{FORMAT_VERSION, Run, RunFile};
use crate::settings::Settings;

/// `x/run.jsonl` → `x/run` + `suffix`; any other extension is kept.
pub(super) fn beside(trace: &Path, suffix: &str) -> PathBuf {
    let mut name = match trace.extension() {
        Some(extension) if extension == "jsonl" => trace.with_extension("").into_os_string(),
        _ => OsString::from(trace),
    };
    name.push(suffix);
    PathBuf::from(name)
}

/// What is known without asking the engine. A trace that others already log into keeps its description;
/// a description that cannot be written weakens later checks but is no reason not to log.
pub(super) fn write_at_start(settings: &Settings, started: SystemTime, truncated: bool) {
    let first = truncated || fs::metadata(&settings.path).is_ok_and(|data| data.len() == 0);
    let regular = fs::metadata(&settings.path).is_ok_and(|data| data.is_file());
    if regular && (first || !beside(&settings.path, ".run.json").exists()) {
        let _ = write(settings, started, &Run::default());
    }
}

/// Writes a whole new file and puts it in the place of the old one, so that no reader sees half of it.
pub(super) fn write(settings: &Settings, started: SystemTime, run: &Run) -> io::Result<()> {
    let file = RunFile {
        format_version: FORMAT_VERSION,
        team: settings.team.clone(),
        argv: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        host: host_name(),
        pid: u64::from(std::process::id()),
        started_at: utc(started),
        run: run.clone(),
    };
    let path = beside(&settings.path, ".run.json");
    let temporary = beside(&settings.path, &format!(".run.json.{}", std::process::id()));
    fs::write(&temporary, file.to_json())?;
    fs::rename(&temporary, &path).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// `2025-10-07T19:47:11Z`.
///
/// # Source
///
/// Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn utc(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, second) = ((seconds / 86400) as i64 + 719_468, seconds % 86400);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        // `date -u -d @N +%FT%TZ`
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_759_866_431, "2025-10-07T19:47:11Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn names() {
        assert_eq!(
            beside(Path::new("x/run.jsonl"), ".run.json"),
            Path::new("x/run.run.json")
        );
        assert_eq!(
            beside(Path::new("x.y/a.b"), ".7.tensors"),
            Path::new("x.y/a.b.7.tensors")
        );
    }
}
