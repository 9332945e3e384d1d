//! Can a program that is started with these variables log?

use super::finding;
use crate::check::soundness::{Finding, Severity};
use orch_log::Settings;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::Path;

/// Checks the loggers' variables and the place that they name. `lookup` gives a variable's value.
///
/// Writing is tried with an empty file beside the trace, which is removed again; the trace itself is
/// not touched.
pub fn diagnose_environment(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<Finding> {
    let Some((settings, problems)) = Settings::from_lookup(&lookup) else {
        return vec![finding(
            "D001",
            Severity::Error,
            "logging is off",
            "`ORCH_LOG_FILE` is unset or empty".to_owned(),
            "start the engine with ORCH_LOG_FILE=run.jsonl; in a service, set it in the service's own environment"
                .to_owned(),
        )];
    };
    let mut findings: Vec<Finding> = problems
        .iter()
        .map(|problem| {
            finding(
                "D002",
                Severity::Warning,
                "a setting cannot be used",
                problem.to_string(),
                format!("correct or unset {}", problem.variable),
            )
        })
        .collect();
    findings.extend(place(&settings.path));
    for variable in ["ORCH_LOG_FILTER", "ORCH_LOG_TOKENS", "ORCH_LOG_MAX_BYTES"] {
        if let Some(value) = lookup(variable).filter(|value| !value.is_empty()) {
            findings.push(finding(
                "D006",
                Severity::Info,
                "not everything is logged",
                format!("`{variable}` is `{}`", value.display()),
                format!("unset {variable} if records are missing"),
            ));
        }
    }
    findings
}

/// What is wrong with a trace's path.
fn place(path: &Path) -> Option<Finding> {
    let error = |code, title: &str, evidence: String, advice: String| {
        Some(finding(code, Severity::Error, title, evidence, advice))
    };
    let shown = path.display();
    if path.is_dir() {
        return error(
            "D003",
            "the trace's path is a folder",
            format!("`{shown}` is a folder"),
            format!("name a file in it: ORCH_LOG_FILE={shown}/run.jsonl"),
        );
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return error(
            "D004",
            "the trace's folder does not exist",
            format!("`{}` is no folder", folder.display()),
            format!("mkdir -p {}", folder.display()),
        );
    }
    let (target, outcome) = if path.exists() {
        (path.to_owned(), OpenOptions::new().append(true).open(path))
    } else {
        let probe = path.with_extension(format!("parity-doctor-{}", std::process::id()));
        let outcome = OpenOptions::new().write(true).create_new(true).open(&probe);
        if outcome.is_ok() {
            // It is empty; where it cannot be removed, nothing else could be done either.
            let _ = fs::remove_file(&probe);
        }
        (folder.to_owned(), outcome)
    };
    if let Err(reason) = outcome {
        return error(
            "D005",
            "the trace cannot be written",
            format!("`{}`: {reason}", target.display()),
            "choose another place, or let the engine's user write there".to_owned(),
        );
    }
    let length = fs::metadata(path).map_or(0, |data| data.len());
    (length > 0).then(|| {
        finding(
            "D007",
            Severity::Info,
            "the trace exists",
            format!("`{shown}` has {length} bytes"),
            "records of the next run are appended; delete it first unless that is wanted"
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(variables: &[(&str, &str)]) -> Vec<&'static str> {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        diagnose_environment(lookup)
            .iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn each_obstacle_has_its_finding() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(codes(&[]), ["D001"]);
        assert_eq!(codes(&[("ORCH_LOG_FILE", "")]), ["D001"]);
        assert_eq!(codes(&[("ORCH_LOG_FILE", &path("a.jsonl"))]), [""; 0]);
        assert_eq!(codes(&[("ORCH_LOG_FILE", &path(""))]), ["D003"]);
        assert_eq!(codes(&[("ORCH_LOG_FILE", &path("no/a.jsonl"))]), ["D004"]);
        let full = [
            ("ORCH_LOG_FILE", &*path("a.jsonl")),
            ("ORCH_LOG_VALUES", "many"),
            ("ORCH_LOG_FILTER", "logits"),
        ];
        assert_eq!(codes(&full), ["D002", "D006"]);
        fs::write(path("b.jsonl"), "{}\n").unwrap();
        assert_eq!(codes(&[("ORCH_LOG_FILE", &path("b.jsonl"))]), ["D007"]);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }
}
