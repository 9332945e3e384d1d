//! The reader and the writer against `spec/vectors/`, through the programs that other languages' are
//! compared with.

#![cfg(all(feature = "read", feature = "half"))]

use std::fs;
use std::path::{Path, PathBuf};

#[allow(dead_code)]
#[path = "../examples/conformance_read.rs"]
mod conformance_read;
#[allow(dead_code)]
#[path = "../examples/conformance_write.rs"]
mod conformance_write;

fn vectors(suffix: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors");
    let mut found: Vec<_> = fs::read_dir(&folder)
        .expect("spec/vectors is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(suffix)?.to_owned();
            Some((name, path))
        })
        .collect();
    found.sort();
    found
}

/// The first line in which two texts differ, for a message that can be read.
fn assert_same(found: &str, expected: &Path, name: &str) {
    let expected = fs::read_to_string(expected).expect("every vector has its expected content");
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(
        found.lines().count(),
        expected.lines().count(),
        "{name}: lines"
    );
    assert_eq!(found, expected, "{name}");
}

#[test]
fn traces_are_read_as_expected() {
    let vectors = vectors(".jsonl");
    assert!(
        vectors.len() >= 20,
        "only {} traces in spec/vectors",
        vectors.len()
    );
    for (name, trace) in vectors {
        let found = conformance_read::decode(&trace).expect(&name);
        assert_same(
            &found,
            &trace.with_file_name(format!("{name}.expected.json")),
            &name,
        );
    }
}

#[test]
fn descriptions_are_written_as_expected() {
    let vectors = vectors(".write.txt");
    assert!(
        vectors.len() >= 15,
        "only {} descriptions in spec/vectors",
        vectors.len()
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, description) in vectors {
        let trace = folder.path().join(format!("{name}.jsonl"));
        conformance_write::write(&description, &trace).expect(&name);
        let found = conformance_read::decode(&trace).expect(&name);
        assert_same(
            &found,
            &description.with_file_name(format!("{name}.expected.json")),
            &name,
        );
        assert_by_the_letter(&fs::read_to_string(&trace).expect("UTF-8"), &name);
    }
}

/// What a reader forgives and a writer must not do: order of the six fields, blanks, upper case.
fn assert_by_the_letter(trace: &str, name: &str) {
    assert!(trace.ends_with('\n') && !trace.contains("\n\n"), "{name}");
    for line in trace.lines() {
        let mut at = 0;
        for field in [
            "{\"checkpoint\":\"",
            "\",\"team\":\"",
            "\",\"token_idx\":",
            ",\"dtype\":\"",
            "\",\"shape\":\"[",
            "]\",\"values\":[",
        ] {
            let found = line[at..]
                .find(field)
                .unwrap_or_else(|| panic!("{name}: `{field}` not in order in {line}"));
            assert!(at > 0 || found == 0, "{name}: {line}");
            at += found + field.len();
        }
    }
}

#[test]
fn run_files_are_read_as_expected() {
    let vectors = vectors(".run.json");
    assert!(
        vectors.len() >= 2,
        "only {} run files in spec/vectors",
        vectors.len()
    );
    for (name, file) in vectors {
        let found = conformance_read::decode(&file).expect(&name);
        assert_same(
            &found,
            &file.with_file_name(format!("{name}.run.expected.json")),
            &name,
        );
    }
}
