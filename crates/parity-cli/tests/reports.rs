//! Forms of the report, baselines and the served page, as a process.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STAGES: [&str; 6] = ["attn_norm", "q", "q_rope", "attn_out", "ffn_out", "output"];

fn parity(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_clear();
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Between 0.5 and 1.5, another one for each element: equal numbers under two names would be a sign of damage.
fn value(checkpoint: &str, step: usize, at: usize) -> f32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("{checkpoint} {step} {at}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    0.5 + (hash >> 40) as f32 / (1 << 24) as f32
}

/// A mistake in one operation and what follows from it.
fn fault(name: &str) -> f32 {
    match name {
        "layer_1_q_rope" => 0.3,
        "layer_1_attn_out" | "layer_1_ffn_out" | "layer_1_output" => 0.05,
        name if name.starts_with("layer_2") => 0.05,
        _ => 2e-7,
    }
}

/// A trace of three layers and two passes whose values are those of the reference times `1 + error(name)`.
fn write(folder: &Path, name: &str, ids: &str, error: impl Fn(&str) -> f32) {
    let mut text = format!(
        r#"{{"checkpoint":"tokens","team":"t","token_idx":0,"dtype":"i32","shape":[3],"values":{ids},"n_tokens":3,"step":0}}"#
    ) + "\n";
    for (step, first, n) in [(0, 0, 2), (1, 2, 1)] {
        for layer in 0..3 {
            for stage in STAGES {
                let checkpoint = format!("layer_{layer}_{stage}");
                let values: Vec<String> = (0..n * 4)
                    .map(|at| {
                        let value = value(&checkpoint, step, at);
                        let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
                        format!("{:?}", value * (1.0 + sign * error(&checkpoint)))
                    })
                    .collect();
                text += &format!(
                    r#"{{"checkpoint":"{checkpoint}","team":"t","token_idx":{first},"dtype":"f32","shape":[{n},4],"values":[{}],"n_tokens":{n},"step":{step}}}"#,
                    values.join(",")
                );
                text += "\n";
            }
        }
    }
    fs::write(folder.join(format!("{name}.jsonl")), text).unwrap();
    fs::write(
        folder.join(format!("{name}.run.json")),
        r#"{"format_version":1,"team":"t","model":{"architecture":"llama","layers":3,"weights":"F32"}}"#,
    )
    .unwrap();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "ref", "[1,2,3]", |_| 0.0);
    write(path, "good", "[1,2,3]", |_| 2e-7);
    write(path, "fault", "[1,2,3]", fault);
    write(path, "tokens", "[1,9,3]", |_| 2e-7);
    folder
}

#[test]
fn one_screen_answers() {
    let folder = folder();
    for (candidate, code, says) in [
        ("ref.jsonl", 0, "MATCH"),
        ("good.jsonl", 0, "ROUNDING"),
        ("fault.jsonl", 1, "DIVERGED  first at layer_1_q_rope"),
        ("tokens.jsonl", 3, "NOT COMPARABLE"),
    ] {
        let output = parity(folder.path(), &["compare", "ref.jsonl", candidate]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.starts_with(says), "{text}");
        assert!(text.lines().count() <= 24, "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let last = text.lines().last().unwrap();
        assert!(last.ends_with(&format!("(exit code {code})")), "{last}");
        // More on demand, and the same last line.
        let more = parity(folder.path(), &["compare", "ref.jsonl", candidate, "-v"]);
        assert!(stdout(&more).len() > text.len());
        assert_eq!(stdout(&more).lines().last().unwrap(), last);
    }
}

#[test]
fn every_form_has_the_same_exit_code() {
    let folder = folder();
    for (candidate, code) in [("good.jsonl", 0), ("fault.jsonl", 1), ("tokens.jsonl", 3)] {
        for form in [
            "text", "json", "html", "markdown", "junit", "csv", "parquet",
        ] {
            let args = ["compare", "ref.jsonl", candidate, "--format", form];
            let output = parity(folder.path(), &args);
            assert_eq!(output.status.code(), Some(code), "{form} {candidate}");
            assert!(!output.stdout.is_empty(), "{form} {candidate}");
        }
    }
    let csv = stdout(&parity(
        folder.path(),
        &["compare", "ref.jsonl", "fault.jsonl", "--format", "csv"],
    ));
    // Three layers of six checkpoints in two passes, and the heading.
    assert_eq!(csv.lines().count(), 37);
    let row = csv
        .lines()
        .find(|line| line.starts_with("layer_1_q_rope,0,"))
        .unwrap();
    let cells: Vec<&str> = row.split(',').collect();
    // Every value is off by 0.3 of itself: NMSE is 0.3² up to the rounding of f32.
    assert!(
        (cells[5].parse::<f64>().unwrap() - 0.09).abs() < 1e-4,
        "{row}"
    );
    assert_eq!(cells[9], "true");
}

#[test]
fn a_gate_is_green_until_something_gets_worse() {
    let folder = folder();
    let path = folder.path();
    let saved = parity(
        path,
        &[
            "baseline",
            "save",
            "ref.jsonl",
            "good.jsonl",
            "-o",
            "base.toml",
        ],
    );
    assert_eq!(
        saved.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&saved.stderr)
    );
    let text = fs::read_to_string(path.join("base.toml")).unwrap();
    assert!(text.contains("\"layer_0_q\" = "), "{text}");
    let gate = |candidate: &str| {
        let args = [
            "gate",
            "ref.jsonl",
            candidate,
            "-b",
            "base.toml",
            "--format",
            "json",
        ];
        let output = parity(path, &args);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            result["exit_code"].as_i64().map(|code| code as i32)
        );
        result
    };
    // Other noise of the same size, as other thread counts make it.
    for run in 0..20 {
        write(path, "again", "[1,2,3]", |name| {
            let mix = (run * 31 + name.len() * 17 + name.as_bytes()[6] as usize) % 7;
            1e-7 * (1 + mix) as f32 / 2.0
        });
        assert_eq!(gate("again.jsonl")["outcome"], "passed", "run {run}");
    }
    let worse = gate("fault.jsonl");
    assert_eq!(worse["outcome"], "worse");
    assert_eq!(worse["worse"][0]["checkpoint"], "layer_1_q_rope");
    // It, three more of its layer, and all six of the next.
    assert_eq!(worse["worse"].as_array().unwrap().len(), 10);
    // Within the limits of F32 weights, so `compare` calls it rounding, and still ten times the baseline's.
    write(path, "slow", "[1,2,3]", |name| {
        if name == "layer_2_output" { 2e-5 } else { 2e-7 }
    });
    assert_eq!(
        parity(path, &["compare", "ref.jsonl", "slow.jsonl"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        gate("slow.jsonl")["worse"][0]["checkpoint"],
        "layer_2_output"
    );
    assert_eq!(gate("tokens.jsonl")["exit_code"], 3);

    // Known-bad and better since: renew.
    let args = [
        "baseline",
        "save",
        "ref.jsonl",
        "fault.jsonl",
        "-o",
        "base.toml",
    ];
    assert_eq!(parity(path, &args).status.code(), Some(0));
    let better = gate("good.jsonl");
    assert_eq!(
        (better["outcome"].as_str(), better["renew"].as_bool()),
        (Some("passed"), Some(true))
    );
    assert_eq!(better["better"][0]["checkpoint"], "layer_1_q_rope");
    let less = ["gate", "ref.jsonl", "empty.jsonl", "-b", "base.toml"];
    fs::write(path.join("empty.jsonl"), "").unwrap();
    assert_eq!(parity(path, &less).status.code(), Some(3));
    let missing = parity(
        path,
        &["gate", "ref.jsonl", "good.jsonl", "-b", "none.toml"],
    );
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_checkpoint_that_is_gone_is_no_pass() {
    let folder = folder();
    let path = folder.path();
    let args = [
        "baseline",
        "save",
        "ref.jsonl",
        "good.jsonl",
        "-o",
        "base.toml",
    ];
    assert_eq!(parity(path, &args).status.code(), Some(0));
    let text = fs::read_to_string(path.join("good.jsonl")).unwrap();
    let fewer: String = text
        .lines()
        .filter(|line| !line.contains("layer_2_ffn_out"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    fs::write(path.join("fewer.jsonl"), fewer).unwrap();
    let output = parity(
        path,
        &["gate", "ref.jsonl", "fewer.jsonl", "-b", "base.toml"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("layer_2_ffn_out"),
        "{}",
        stdout(&output)
    );
}

/// Ends a process however the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn started(folder: &Path, args: &[&str]) -> (Ended, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity"));
    command.args(args).current_dir(folder).env_clear();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (Ended(child), out)
}

/// Status code and body.
fn get(address: &str, host: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

#[test]
fn only_who_knows_the_address_is_served() {
    let folder = folder();
    let (_server, mut out) = started(folder.path(), &["view", "ref.jsonl", "fault.jsonl"]);
    let mut url = String::new();
    out.read_line(&mut url).unwrap();
    let rest = url.trim().strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{url}");
    assert_eq!(
        path.trim_end_matches('/').len(),
        32,
        "128 random bits: {url}"
    );
    let page = format!("/{path}");
    let (code, body) = get(address, address, &page);
    assert_eq!(code, 200);
    assert!(body.contains("data-live=\"yes\"") && body.contains("connect-src 'self'"));
    for (host, path) in [
        (address, "/"),
        (address, "/0123456789abcdef0123456789abcdef/"),
        (address, &format!("{page}secret")),
        ("evil.example", &page),
    ] {
        assert_eq!(get(address, host, path).0, 404, "{host} {path}");
    }
    let query = format!("{page}inspect?checkpoint=layer_1_q_rope&token_idx=0&seq=0");
    let (code, body) = get(address, address, &query);
    assert_eq!(code, 200, "{body}");
    let start = body.find('{').unwrap();
    let inspection: Value = serde_json::Deserializer::from_str(&body[start..])
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(inspection["elements"], 8);
    let counts = inspection["values"]["candidate"].as_array().unwrap();
    assert_eq!(counts.iter().filter_map(Value::as_u64).sum::<u64>(), 8);
    let none = format!("{page}inspect?checkpoint=layer_1_q_rope&token_idx=7&seq=0");
    assert_eq!(get(address, address, &none).0, 404);
    assert_eq!(
        get(address, address, &format!("{page}inspect?checkpoint=q")).0,
        400
    );
}

#[test]
fn watching_compares_again_when_a_trace_grows() {
    let folder = folder();
    let path = folder.path();
    let whole = fs::read_to_string(path.join("fault.jsonl")).unwrap();
    let half = whole.find("layer_1_q_rope").unwrap();
    let line_end = whole[..half].rfind('\n').unwrap() + 1;
    fs::write(path.join("growing.jsonl"), &whole[..line_end]).unwrap();
    let args = ["compare", "ref.jsonl", "growing.jsonl", "--watch=0.05"];
    let (_watch, out) = started(path, &args);
    let mut lines = out.lines();
    let mut verdict = || {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "no verdict");
            let line = lines.next().unwrap().unwrap();
            if line.starts_with("verdict: ") {
                return line;
            }
        }
    };
    assert_eq!(verdict(), "verdict: rounding (exit code 0)");
    fs::write(path.join("growing.jsonl"), &whole).unwrap();
    // A look may fall between the truncation and the writing.
    let second = verdict();
    let last = if second.contains("diverged") {
        second
    } else {
        verdict()
    };
    assert_eq!(last, "verdict: diverged (exit code 1)");
}

#[test]
fn manual_pages_schema_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        parity(folder.path(), &["man", "pages"]).status.code(),
        Some(0)
    );
    let page = fs::read_to_string(folder.path().join("pages/parity-compare.1")).unwrap();
    assert!(
        page.starts_with(".ie") && page.contains("\\-\\-format"),
        "{}",
        &page[..200]
    );
    let schema: Value = serde_json::from_slice(&parity(folder.path(), &["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "Report");
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&parity(folder.path(), &["completions", shell]));
        assert!(script.contains("baseline"), "{shell}");
    }
}
