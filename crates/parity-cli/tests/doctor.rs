//! `parity doctor` as a process: what it says and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

fn doctor(args: &[&str], variables: &[(&str, &Path)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.arg("doctor").args(args).env_remove("ORCH_LOG_FILE");
    for (name, value) in variables {
        command.env(name, value);
    }
    let Output { status, stdout, .. } = command.output().expect("parity runs");
    let text = String::from_utf8(stdout).expect("UTF-8");
    (status.code().expect("an exit code"), text)
}

#[test]
fn the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, text) = doctor(&["--env"], &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("error[D001]: logging is off"), "{text}");
    let (code, text) = doctor(
        &["--env"],
        &[("ORCH_LOG_FILE", &folder.path().join("a.jsonl"))],
    );
    assert_eq!(
        (code, text.as_str()),
        (0, "doctor: nothing stands in the way\n")
    );
    let (code, _) = doctor(&["--engine", "/bin/true"], &[]);
    assert_eq!(code, 1);
}

#[test]
fn a_trace_and_its_partner() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let record = |name: &str| {
        format!(
            "{{\"checkpoint\":\"{name}\",\"team\":\"t\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[2]\",\"values\":[0.5,1.25]}}\n"
        )
    };
    let (x, y, empty) = (
        write("x.jsonl", &record("x")),
        write("y.jsonl", &record("y")),
        write("e.jsonl", ""),
    );
    assert_eq!(doctor(&[&x], &[]).0, 0);
    let (code, text) = doctor(&[&x, "--against", &y], &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no checkpoint in common"), "{text}");
    let (code, text) = doctor(&[&empty, "--format", "json"], &[]);
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (code, &report["findings"][0]["code"]),
        (1, &serde_json::json!("D011"))
    );
    assert_eq!(
        doctor(&[], &[]).0,
        2,
        "a trace, --env or --engine must be given"
    );
    let missing = folder.path().join("none.jsonl").display().to_string();
    assert!(
        doctor(&[&missing], &[])
            .1
            .contains("error[D010]: there is no trace")
    );
}
