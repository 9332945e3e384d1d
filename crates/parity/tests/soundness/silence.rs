//! Sound traces are passed over in silence.

use super::generator::{Sound, Text};
use super::{check, codes};
use parity::check::soundness::Severity;

/// Seeds from 0 on; `PARITY_SOUND_TRACES` asks for another number of them.
const TRACES: u64 = 3000;

#[test]
fn thousands_of_sound_traces_are_sound() {
    let traces = std::env::var("PARITY_SOUND_TRACES")
        .map_or(TRACES, |number| number.parse().expect("a number"));
    let (mut records, mut rounded, mut notes) = (0, 0, 0);
    for seed in 0..traces {
        let sound = Sound::new(seed);
        records += sound.lines.lines().count();
        let findings = check(&sound.lines);
        // What text with few digits loses is said, and is true. Nothing else may be said but that something is constant.
        let expected =
            |code: &str| code == "S036" && !matches!(sound.text, Text::Exact | Text::Digits(9));
        let unexpected: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info && !expected(finding.code))
            .collect();
        let kinds: Vec<_> = sound
            .checkpoints
            .iter()
            .map(|checkpoint| (&checkpoint.name, checkpoint.kind))
            .collect();
        assert!(
            unexpected.is_empty(),
            "seed {seed}, {:?}: {unexpected:#?}\n{kinds:?}",
            sound.text
        );
        rounded += usize::from(codes(&findings, Severity::Warning) == ["S036"]);
        for finding in findings
            .iter()
            .filter(|finding| finding.severity == Severity::Info)
        {
            assert_eq!(finding.code, "S022", "seed {seed}: {finding:#?}");
            notes += 1;
        }
    }
    println!(
        "{traces} sound traces, {records} records; {rounded} with few digits, {notes} with a constant tensor"
    );
    assert!(
        records > 100_000 && rounded > 300 && notes > 0,
        "the generator makes what it should"
    );
}
