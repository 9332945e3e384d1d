//! What the environment asks for.

use std::ffi::OsString;
use std::sync::OnceLock;

use orch_log::Settings;

use crate::status::{Kind, tell};

/// What is to be captured, and into which trace.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `ORCH_LOG_*`, as for every logger.
    pub(crate) log: Settings,
    /// `PARITY_PRELOAD_ALL`: also nodes without a canonical name.
    pub(crate) all: bool,
    /// `PARITY_PRELOAD_WARM_UP`: also passes that only warm up or probe.
    pub(crate) warm_up: bool,
    /// Settings that could not be used, as one line; empty when all could.
    pub(crate) problems: String,
    /// Whether `parity capture` started this: it made room for the trace, and processes share the name between them.
    pub(crate) started_by_parity: bool,
}

/// What the environment asks for, read once. `None` without `ORCH_LOG_FILE`.
pub(crate) fn asked() -> Option<&'static Asked> {
    static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
    ASKED
        .get_or_init(|| read(|name| std::env::var_os(name)))
        .as_ref()
}

fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Option<Asked> {
    let (log, problems) = Settings::from_lookup(&lookup)?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for problem in &problems {
        tell(Kind::Problem, problem);
    }
    let is_set = |name: &str| lookup(name).is_some_and(|value| !value.is_empty() && value != "0");
    Some(Asked {
        log,
        problems: problems.join("; "),
        all: is_set("PARITY_PRELOAD_ALL"),
        warm_up: is_set("PARITY_PRELOAD_WARM_UP"),
        started_by_parity: is_set("PARITY_PRELOAD_STATUS"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables() {
        assert!(read(|_| None).is_none());
        let asked = read(|name| match name {
            "ORCH_LOG_VALUES" => Some("many".into()),
            "ORCH_LOG_FILE" => Some("run.jsonl".into()),
            "ORCH_LOG_TEAM" => Some("llama.cpp".into()),
            "PARITY_PRELOAD_ALL" => Some("1".into()),
            "PARITY_PRELOAD_WARM_UP" => Some("0".into()),
            _ => None,
        });
        let asked = asked.expect("a file is given");
        assert_eq!(
            (asked.all, asked.warm_up, asked.started_by_parity),
            (true, false, false)
        );
        assert!(
            asked
                .problems
                .starts_with("ORCH_LOG_VALUES=`many` is not usable"),
            "{}",
            asked.problems
        );
        assert_eq!(asked.log.team, "llama.cpp");
    }
}
