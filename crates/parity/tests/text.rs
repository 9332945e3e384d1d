//! The text report of small traces, as it is printed. `UPDATE_GOLDEN=1 cargo test -p parity --test text` writes the files
//! anew; read the difference before it is committed.

mod support;

use parity::Options;
use parity::report::v1::Report;
use parity::report::{Render, Text};
use serde_json::json;
use std::path::PathBuf;
use support::{Folder, Line, compare_with, noise, record, tokens};

const STAGES: [&str; 19] = [
    "attn_norm",
    "q",
    "k",
    "v",
    "q_norm",
    "k_norm",
    "q_rope",
    "k_rope",
    "attn_scores",
    "attn_probs",
    "attn_context",
    "attn_out",
    "attn_residual",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_act",
    "ffn_out",
    "output",
];

/// Two layers, a prefill of two tokens and one decoded token; `error(checkpoint)` is the relative error.
fn run(ids: [i32; 3], error: impl Fn(&str) -> f32) -> Vec<Line> {
    let mut lines = Vec::new();
    for (step, first, n) in [(0, 0_usize, 2_usize), (1, 2, 1)] {
        lines.push(tokens(first as i64, &ids[first..first + n]).step(step));
        let mut names = vec!["embedding".to_owned()];
        for layer in 0..2 {
            names.extend(STAGES.iter().map(|stage| format!("layer_{layer}_{stage}")));
        }
        names.extend(["final_norm".to_owned(), "logits".to_owned()]);
        for (seed, name) in names.iter().enumerate() {
            let width = if name.ends_with("attn_scores") || name.ends_with("attn_probs") {
                first + n
            } else {
                4
            };
            let seed = seed as u64 * 10 + step;
            let values: Vec<f32> = noise(seed + 1, n * width)
                .iter()
                .zip(noise(seed + 2, n * width))
                .map(|(x, e)| x + e * error(name))
                .collect();
            lines.push(
                record(name, first as i64, &values)
                    .shape(&[n, width])
                    .n_tokens(n)
                    .step(step),
            );
        }
    }
    lines
}

fn run_file(team: &str) -> String {
    json!({"format_version": 1, "team": team, "model": {"path": "/models/tiny.gguf", "sha256": "0123456789abcdef",
           "architecture": "llama", "layers": 2, "weights": "F32"}})
    .to_string()
}

fn report(reference: &[Line], candidate: &[Line]) -> Report {
    let folder = Folder::new();
    folder.write_bytes("ref.run.json", run_file("llama.cpp").as_bytes());
    folder.write_bytes("cand.run.json", run_file("my-engine").as_bytes());
    let (reference, candidate) = (
        folder.write("ref.jsonl", reference),
        folder.write("cand.jsonl", candidate),
    );
    let mut report = compare_with(&reference, &candidate, &Options::default());
    // The folder has another name each time.
    report.reference.path = "ref.jsonl".to_owned();
    report.candidate.path = "cand.jsonl".to_owned();
    report
}

fn render(report: &Report, unicode: bool, verbose: bool) -> String {
    let mut out = Vec::new();
    Text {
        color: false,
        unicode,
        verbose,
    }
    .render(report, &mut out)
    .expect("memory does not fail");
    String::from_utf8(out).expect("text")
}

fn assert_golden(name: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
        assert!(!line.ends_with(' '), "blanks at the end: {line:?}");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the folder is writable");
    }
    let expected = std::fs::read_to_string(&path).expect("the golden file is there");
    assert!(text == expected, "{name} differs:\n{text}");
}

fn rounding(name: &str) -> f32 {
    if name.ends_with("_k") { 0.0 } else { 1e-6 }
}

#[test]
fn clean() {
    let report = report(&run([5, 6, 7], |_| 0.0), &run([5, 6, 7], rounding));
    assert_eq!(report.verdict, "rounding");
    assert_golden("clean.txt", &render(&report, true, false));
}

#[test]
fn diverged() {
    let wrong = |name: &str| match name {
        "layer_1_q_rope" => 0.7,
        _ if name.starts_with("layer_1_attn") && name != "layer_1_attn_norm"
            || name.starts_with("layer_1_ffn") =>
        {
            0.02
        }
        "layer_1_output" | "final_norm" | "logits" => 0.02,
        _ => rounding(name),
    };
    let reference = run([5, 6, 7], |_| 0.0);
    let mut candidate = run([5, 6, 7], wrong);
    candidate.retain(|line| line.0["checkpoint"] != "layer_0_attn_probs");
    let report = report(&reference, &candidate);
    assert_eq!(report.verdict, "diverged");
    assert_golden("diverged.txt", &render(&report, true, false));
    assert_golden("diverged.ascii.txt", &render(&report, false, true));
}

#[test]
fn not_comparable() {
    let report = report(&run([5, 6, 7], |_| 0.0), &run([5, 9, 7], |_| 1.0));
    assert_eq!(report.verdict, "not comparable");
    assert_golden("not_comparable.txt", &render(&report, true, false));
}

#[test]
fn hostile_names() {
    let names = [
        "<script>alert(1)</script>",
        "\u{1b}[2J\u{1b}[31mred",
        "\u{202e}elur\u{202c} عربى",
        &"x".repeat(10_000),
        "a\nb",
        "",
    ];
    let lines = |value: f32| -> Vec<Line> {
        names
            .iter()
            .map(|name| record(name, 0, &[1.0, value]).with("team", json!(names[1])))
            .collect()
    };
    let report = report(&lines(1.0), &lines(2.0));
    let text = render(&report, true, true);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert_golden("hostile.txt", &text);
    let ascii = render(&report, false, true);
    assert!(ascii.is_ascii());
}

#[test]
fn colours_only_where_wanted() {
    let report = report(&run([5, 6, 7], |_| 0.0), &run([5, 6, 7], rounding));
    let mut out = Vec::new();
    let text = Text {
        color: true,
        unicode: true,
        verbose: false,
    };
    text.render(&report, &mut out)
        .expect("memory does not fail");
    let colored = String::from_utf8(out).expect("text");
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some(start) = rest.find('\u{1b}') {
        plain.push_str(&rest[..start]);
        let end = rest[start..].find('m').expect("a whole escape sequence");
        rest = &rest[start + end + 1..];
    }
    plain.push_str(rest);
    assert_eq!(
        plain,
        render(&report, true, false),
        "colours change nothing but colours"
    );
}
