//! Damaged, odd and hostile traces.

mod support;

use parity::Options;
use parity::trace::{Entry, Trace};
use serde_json::json;
use support::{Folder, codes, compare_lines, compare_with, finding, named, record};

const GOOD: &str =
    r#"{"checkpoint":"a","team":"t","token_idx":0,"dtype":"f32","shape":"[2]","values":[1,2]}"#;

#[test]
fn malformed_lines_are_named_and_skipped() {
    let folder = Folder::new();
    let damaged = format!(
        "{GOOD}\nnot json\n\n{{\"checkpoint\":\"b\"}}\n{}\n",
        GOOD.replace("\"a\"", "\"c\"")
    );
    let reference = folder.write_text("ref.jsonl", &damaged);
    let candidate = folder.write(
        "cand.jsonl",
        &[record("a", 0, &[1.0, 2.0]), record("c", 0, &[1.0, 2.0])],
    );
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.verdict, "match");
    assert_eq!(
        (report.coverage.pairs, report.reference.malformed_lines),
        (2, 2)
    );
    let finding = named(&report, "lines-that-are-not-records");
    assert_eq!((finding.count, finding.side.as_str()), (2, "reference"));
    assert!(
        finding.examples[1].contains("2 lines skipped; line 2, column 1: "),
        "{}",
        finding.examples[1]
    );
}

#[test]
fn a_line_that_was_cut_off_is_named_and_skipped() {
    let folder = Folder::new();
    let cut = format!("{GOOD}\n{}", &GOOD[..GOOD.len() - 9]);
    let reference = folder.write_text("ref.jsonl", &cut);
    let candidate = folder.write("cand.jsonl", &[record("a", 0, &[1.0, 2.0])]);
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.verdict, "match");
    let finding = named(&report, "the-last-line-is-cut-off");
    assert_eq!(
        (finding.code.as_str(), finding.side.as_str()),
        ("S030", "reference")
    );
    // A last line that is whole but for its line end is a record.
    let reference = folder.write_text("ref.jsonl", GOOD);
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(
        (report.verdict.as_str(), report.coverage.pairs),
        ("match", 1)
    );
    assert!(!codes(&report).contains(&"S030"));
}

#[test]
fn lenient_numbers_are_reported_once_a_file() {
    let folder = Folder::new();
    let line = |name: &str, values: &str| {
        format!(
            r#"{{"checkpoint":"{name}","team":"t","token_idx":0,"dtype":"f32","shape":"[3]","values":[{values}]}}"#
        ) + "\n"
    };
    let reference = folder.write_text(
        "ref.jsonl",
        &(line("a", "NaN,-inf,1") + &line("b", "null,1,2") + &line("c", "\"NaN\",\"Infinity\",2")),
    );
    let candidate = folder.write_text(
        "cand.jsonl",
        &(line("a", "\"NaN\",\"-Infinity\",1")
            + &line("b", "\"NaN\",1,2")
            + &line("c", "\"NaN\",\"Infinity\",2")),
    );
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.verdict, "match", "the same numbers, however written");
    let finding = named(&report, "numbers-that-json-does-not-have");
    assert_eq!((finding.count, finding.side.as_str()), (2, "reference"));
    assert_eq!(finding.severity, "note");
}

#[test]
fn nothing_at_all_is_not_a_pass() {
    let folder = Folder::new();
    let good = folder.write("good.jsonl", &[record("a", 0, &[1.0])]);
    for (text, expected) in [
        ("", "the file is empty"),
        ("x\ny\n", "none of its 2 lines is a record"),
    ] {
        let bad = folder.write_text("bad.jsonl", text);
        for (reference, candidate, side) in [(&bad, &good, "reference"), (&good, &bad, "candidate")]
        {
            let report = compare_with(reference, candidate, &Options::default());
            assert_eq!(
                (report.verdict.as_str(), report.exit_code),
                ("not comparable", 3)
            );
            let finding = named(&report, "no-records");
            assert_eq!(
                (finding.side.as_str(), finding.examples[1].as_str()),
                (side, expected)
            );
            assert!(report.reasons[0].contains("no records"));
        }
    }
}

#[test]
fn a_second_record_of_the_same_key_is_listed_and_the_first_compared() {
    let first = [record("a", 0, &[1.0]), record("a", 1, &[2.0])];
    let twice = [
        record("a", 0, &[1.0]),
        record("a", 1, &[2.0]),
        record("a", 0, &[9.0]),
    ];
    for (reference, candidate, side) in [
        (&first[..], &twice[..], "candidate"),
        (&twice[..], &first[..], "reference"),
    ] {
        let report = compare_lines(reference, candidate);
        assert_eq!(
            (report.verdict.as_str(), report.coverage.pairs),
            ("match", 2)
        );
        let finding = finding(&report, "S031");
        assert_eq!((finding.count, finding.side.as_str()), (1, side));
        assert!(finding.examples[1].contains("the file begins again at line 3"));
    }
}

#[test]
fn another_occurrence_sequence_or_rank_is_another_key() {
    let lines = [
        record("a", 0, &[1.0]),
        record("a", 0, &[2.0]).with("occurrence", json!(1)),
        record("a", 0, &[3.0]).with("seq", json!(1)),
        record("a", 0, &[4.0]).with("rank", json!(1)),
    ];
    let reversed: Vec<_> = lines.iter().rev().cloned().collect();
    let report = compare_lines(&lines, &reversed);
    assert_eq!(
        (report.verdict.as_str(), report.coverage.compared),
        ("match", 4)
    );
    assert!(!codes(&report).contains(&"S031"));
}

fn with_payload(file: &str, offset: u64, nbytes: u64) -> support::Line {
    record("a", 0, &[1.0, 2.0]).shape(&[4]).with(
        "payload",
        json!({"file": file, "offset": offset, "nbytes": nbytes}),
    )
}

#[test]
fn damaged_payloads_are_named_and_the_other_evidence_used() {
    let bytes: Vec<u8> = [0.5_f32, 1.0, 2.0, 3.0, 4.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let cases = [
        ("p.tensors", 4, 16, None),
        (
            "p.tensors",
            8,
            16,
            Some("payload ends at byte 24 of `p.tensors`, which has 20"),
        ),
        ("p.tensors", u64::MAX, 16, Some("payload ends at byte")),
        (
            "p.tensors",
            0,
            12,
            Some("payload has 12 bytes where its shape needs 16"),
        ),
        (
            "gone.tensors",
            0,
            16,
            Some("payload file `gone.tensors` cannot be opened: No such file"),
        ),
        (
            "../p.tensors",
            0,
            16,
            Some("payload `../p.tensors` is not a bare file name"),
        ),
        (
            "/etc/passwd",
            0,
            16,
            Some("payload `/etc/passwd` is not a bare file name"),
        ),
    ];
    for (file, offset, nbytes, fault) in cases {
        let folder = Folder::new();
        folder.write_bytes("p.tensors", &bytes);
        if offset == u64::MAX {
            // Offsets are 63-bit integers in the format; the largest must not wrap around.
            let line = with_payload(file, i64::MAX as u64, nbytes);
            assert_fault(&folder, line, fault);
        } else {
            assert_fault(&folder, with_payload(file, offset, nbytes), fault);
        }
    }
}

fn assert_fault(folder: &Folder, line: support::Line, fault: Option<&str>) {
    let reference = folder.write("ref.jsonl", &[line]);
    let candidate = folder.write("cand.jsonl", &[record("a", 0, &[1.0, 2.0, 3.0, 4.0])]);
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.verdict, "match");
    match fault {
        None => {
            assert_eq!(report.coverage.rests_on.all_elements, 1);
            assert!(!codes(&report).contains(&"S039"));
        }
        Some(expected) => {
            assert_eq!(
                report.coverage.rests_on.first_elements, 1,
                "the two values of the line"
            );
            let example = &finding(&report, "S039").examples[1];
            assert!(example.contains(expected), "{example}");
        }
    }
}

#[test]
fn payloads_of_every_width_are_decoded() {
    // 1, -2, 0.5 in each storage type, bit patterns from the formats' definitions.
    let f16 = [0x3c00_u16, 0xc000, 0x3800].map(u16::to_le_bytes).concat();
    let bf16 = [0x3f80_u16, 0xc000, 0x3f00].map(u16::to_le_bytes).concat();
    let f64 = [1.0_f64, -2.0, 0.5].map(f64::to_le_bytes).concat();
    let e4m3 = vec![0x38, 0xc0, 0x30];
    for (dtype, bytes) in [
        ("f16", f16),
        ("bf16", bf16),
        ("f64", f64),
        ("f8_e4m3", e4m3),
    ] {
        let folder = Folder::new();
        folder.write_bytes("p.tensors", &bytes);
        let line = record("a", 0, &[])
            .shape(&[3])
            .with("dtype", json!(dtype))
            .with(
                "payload",
                json!({"file": "p.tensors", "offset": 0, "nbytes": bytes.len()}),
            );
        let reference = folder.write("ref.jsonl", &[line]);
        let candidate = folder.write("cand.jsonl", &[record("a", 0, &[1.0, -2.0, 0.5])]);
        let report = compare_with(&reference, &candidate, &Options::default());
        assert_eq!(
            (
                report.verdict.as_str(),
                report.coverage.rests_on.all_elements
            ),
            ("match", 1),
            "{dtype}"
        );
    }
}

#[test]
fn records_that_contradict_themselves_are_not_compared() {
    let cases = [
        (
            record("a", 0, &[1.0, 2.0]).shape(&[1]),
            "2 values, but its shape has 1 elements",
        ),
        (
            record("a", 0, &[1.0]).shape(&[usize::MAX >> 1, 8]),
            "more elements than 64 bits can count",
        ),
        (
            record("a", 0, &[1.0, 2.0]).n_tokens(3),
            "3 tokens, but axis 0",
        ),
        (
            record("a", 0, &[1.0]).whole(&[1.0, 2.0]),
            "statistics over 2 elements, but its shape has 1",
        ),
    ];
    for (line, expected) in cases {
        let report = compare_lines(
            &[line, record("b", 0, &[1.0])],
            &[record("a", 0, &[1.0]), record("b", 0, &[1.0])],
        );
        assert_eq!(
            (
                report.verdict.as_str(),
                report.coverage.compared,
                report.coverage.unusable
            ),
            ("match", 1, 1)
        );
        assert!(
            report.coverage.unusable_list[0].reason.contains(expected),
            "{:?}",
            report.coverage.unusable_list
        );
        assert!(finding(&report, "S037").examples[1].contains(expected));
    }
}

#[test]
fn the_logger_s_own_loss_is_reported_and_not_compared() {
    let dropped = record("orch_log.dropped", 0, &[17.0]);
    let report = compare_lines(
        &[record("a", 0, &[1.0]), dropped],
        &[record("a", 0, &[1.0])],
    );
    assert_eq!(
        (report.verdict.as_str(), report.reference.records),
        ("match", 1)
    );
    assert!(named(&report, "records-were-lost").examples[1].contains("lost 17 records"));
}

#[test]
fn several_teams_in_one_file() {
    let mixed = [
        record("a", 0, &[1.0]),
        record("a", 1, &[1.0]).with("team", json!("other")),
    ];
    let report = compare_lines(&mixed, &mixed);
    assert!(named(&report, "several-teams-in-one-file").examples[1].ends_with("`other`, `test`"));
}

#[test]
fn what_cannot_be_opened() {
    let folder = Folder::new();
    folder.write("ref.jsonl", &[]);
    let error = Trace::open(folder.path("reff.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("No such file")
            && error.contains("did you mean")
            && error.ends_with("ref.jsonl`?"),
        "{error}"
    );
    let error = Trace::open(folder.path("")).unwrap_err().to_string();
    assert!(error.contains("this is a folder"), "{error}");
    let error = Trace::open("/dev/null").unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn records_are_read_again_by_their_offset() {
    let folder = Folder::new();
    let long: Vec<f32> = (0..5000).map(|x| x as f32).collect();
    let trace = folder.write(
        "t.jsonl",
        &[
            record("a", 0, &[1.0]),
            record("b", 1, &long),
            record("c", 2, &[3.0]),
        ],
    );
    let mut records = trace.records().unwrap();
    let mut names = Vec::new();
    while let Some(entry) = records.next().unwrap() {
        let Entry::Record(located) = entry else {
            panic!("all lines are records")
        };
        let again = trace.record_at(located.offset_bytes).unwrap();
        assert_eq!(again.record, located.record);
        names.push((located.record.checkpoint.clone(), located.line));
    }
    assert_eq!(names, [("a".into(), 1), ("b".into(), 2), ("c".into(), 3)]);
    let error = trace.record_at(3).unwrap_err();
    assert!(error.to_string().contains("at byte 3"), "{error}");
}

#[test]
fn run_files() {
    let folder = Folder::new();
    let lines = [record("a", 0, &[1.0])];
    folder.write_bytes("ref.run.json", b"{not json");
    let (reference, candidate) = (
        folder.write("ref.jsonl", &lines),
        folder.write("cand.jsonl", &lines),
    );
    let report = compare_with(&reference, &candidate, &Options::default());
    assert_eq!(report.verdict, "match");
    assert!(finding(&report, "T010").examples[0].contains("ref.run.json` cannot be used"));
    assert!(finding(&report, "T009").examples[0].contains("cand.run.json"));
    folder.write_bytes("ref.run.json", br#"{"format_version": 2, "unknown": [1]}"#);
    let reference = folder.write("ref.jsonl", &lines);
    let report = compare_with(&reference, &candidate, &Options::default());
    assert!(finding(&report, "T010").examples[0].contains("format version 2"));
}
