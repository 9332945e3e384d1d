//! Settings from the environment.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Detail, Filter, Settings, TokenSet, Values, size};

/// A setting that could not be used, and what holds instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What was expected.
    pub expected: String,
    /// What holds instead.
    pub instead: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            value,
            expected,
            instead,
        } = self;
        write!(
            f,
            "{variable}=`{value}` is not usable ({expected}); {instead}"
        )
    }
}

impl Settings {
    /// Settings from `ORCH_LOG_*`, or `None` when `ORCH_LOG_FILE` is unset or empty.
    ///
    /// An unusable value is replaced by its default; use [`Settings::from_lookup`] to learn of it.
    pub fn from_env() -> Option<Self> {
        Self::from_lookup(|name| std::env::var_os(name)).map(|(settings, _)| settings)
    }

    /// Settings from any source of variables, with the values that could not be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Option<(Self, Vec<Problem>)> {
        let path = lookup("ORCH_LOG_FILE")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)?;
        let mut problems = Vec::new();
        let mut get = |variable: &'static str,
                       instead: &'static str,
                       apply: &mut dyn FnMut(&str) -> Result<(), String>| {
            let Some(value) = lookup(variable) else {
                return;
            };
            let outcome = match value.to_str() {
                Some(text) if text.trim().is_empty() => Ok(()),
                Some(text) => apply(text.trim()),
                None => Err("not UTF-8".to_owned()),
            };
            if let Err(expected) = outcome {
                let value = value.to_string_lossy().into_owned();
                problems.push(Problem {
                    variable,
                    value,
                    expected,
                    instead,
                });
            }
        };

        let mut settings = Self::new(path, program_name());
        get("ORCH_LOG_TEAM", "the program's name is used", &mut |text| {
            settings.team = text.to_owned();
            Ok(())
        });
        get(
            "ORCH_LOG_VALUES",
            "the first 10 values are logged",
            &mut |text| {
                settings.values = parse_values(text).ok_or("expected a count, `0` or `all`")?;
                Ok(())
            },
        );
        get("ORCH_LOG_DETAIL", "`stats` is used", &mut |text| {
            settings.detail = parse_detail(text).ok_or("expected `values`, `stats` or `full`")?;
            Ok(())
        });
        get(
            "ORCH_LOG_FILTER",
            "every checkpoint is logged",
            &mut |text| {
                settings.filter = Filter::new(text);
                Ok(())
            },
        );
        get("ORCH_LOG_TOKENS", "every position is logged", &mut |text| {
            settings.tokens = TokenSet::parse(text)?;
            Ok(())
        });
        get("ORCH_LOG_MAX_BYTES", "no limit is set", &mut |text| {
            let limit =
                size::bytes(text).ok_or("expected bytes such as `500M`, `0` for no limit")?;
            settings.max_bytes = Some(limit).filter(|limit| *limit > 0);
            Ok(())
        });
        get("ORCH_LOG_BUFFER", "nothing is buffered", &mut |text| {
            let bytes = size::bytes(text)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .filter(|bytes| *bytes <= Self::MAX_BUFFER)
                .ok_or("expected bytes up to `64M` such as `64K`, `0` for none")?;
            settings.buffer = Some(bytes).filter(|bytes| *bytes > 0);
            Ok(())
        });
        get("ORCH_LOG_TS", "no timestamps are written", &mut |text| {
            settings.timestamps = match text {
                "1" | "true" | "on" => true,
                "0" | "false" | "off" => false,
                _ => return Err("expected `1` or `0`".to_owned()),
            };
            Ok(())
        });
        Some((settings, problems))
    }

    /// The largest buffer of a thread, in bytes: what a crash may lose should stay a choice, not an accident.
    pub const MAX_BUFFER: usize = 64 << 20;
}

fn parse_values(text: &str) -> Option<Values> {
    if text.eq_ignore_ascii_case("all") {
        return Some(Values::All);
    }
    text.parse().ok().map(Values::First)
}

fn parse_detail(text: &str) -> Option<Detail> {
    match text.to_ascii_lowercase().as_str() {
        "values" => Some(Detail::Values),
        "stats" => Some(Detail::Stats),
        "full" => Some(Detail::Full),
        _ => None,
    }
}

/// The file name of the running program, without its extension.
fn program_name() -> String {
    std::env::args_os()
        .next()
        .as_deref()
        .and_then(|program| Path::new(program).file_stem())
        .map(|stem| stem.to_string_lossy().into_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Option<(Settings, Vec<Problem>)> {
        Settings::from_lookup(|name| {
            vars.iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn off_without_a_file() {
        assert!(read(&[]).is_none());
        assert!(read(&[("ORCH_LOG_FILE", ""), ("ORCH_LOG_TEAM", "x")]).is_none());
    }

    #[test]
    fn everything_set() {
        let (settings, problems) = read(&[
            ("ORCH_LOG_FILE", "/x/run.jsonl"),
            ("ORCH_LOG_TEAM", "worker-orcd"),
            ("ORCH_LOG_VALUES", "all"),
            ("ORCH_LOG_DETAIL", "full"),
            ("ORCH_LOG_FILTER", "logits"),
            ("ORCH_LOG_TOKENS", "0-3,7"),
            ("ORCH_LOG_MAX_BYTES", "2G"),
            ("ORCH_LOG_BUFFER", "64K"),
            ("ORCH_LOG_TS", "1"),
        ])
        .expect("a file is set");
        assert_eq!(problems, []);
        assert_eq!(settings.team, "worker-orcd");
        assert_eq!(
            (settings.values, settings.detail),
            (Values::All, Detail::Full)
        );
        assert_eq!(
            (settings.max_bytes, settings.buffer),
            (Some(2 << 30), Some(65536))
        );
        assert!(
            settings.timestamps
                && !settings.filter.passes("embedding")
                && !settings.tokens.overlaps(4, 1)
        );
    }

    #[test]
    fn unusable_values_fall_back_and_are_told() {
        let (settings, problems) = read(&[
            ("ORCH_LOG_FILE", "run.jsonl"),
            ("ORCH_LOG_VALUES", "-3"),
            ("ORCH_LOG_DETAIL", "everything"),
            ("ORCH_LOG_TOKENS", "3-1"),
            ("ORCH_LOG_MAX_BYTES", "1.5G"),
            ("ORCH_LOG_BUFFER", "1T"),
            ("ORCH_LOG_TS", "maybe"),
        ])
        .expect("a file is set");
        assert_eq!(problems.len(), 6);
        assert_eq!(
            (settings.values, settings.detail),
            (Settings::DEFAULT_VALUES, Detail::Stats)
        );
        assert_eq!((settings.max_bytes, settings.buffer), (None, None));
        assert_eq!(
            problems[0].to_string(),
            "ORCH_LOG_VALUES=`-3` is not usable (expected a count, `0` or `all`); the first 10 values are logged"
        );
    }
}
