//! Proposals of name maps on real traces whose names were scrambled.
#![cfg(feature = "llama")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod scramble;

use parity::align::{Profile, Proposal, propose};
use parity::trace::Trace;
use scramble::{Scrambled, Traces, rearranged, scrambled, single_tokens};
use std::path::Path;

/// How a proposal fared.
#[derive(Debug, Default)]
struct Score {
    /// Names that both traces have.
    common: usize,
    /// Pairs proposed that are right, at any confidence.
    right: usize,
    /// Of these sure.
    sure: usize,
    /// Pairs that are wrong although they were called sure.
    wrong_but_sure: Vec<String>,
    /// The largest confidence of a wrong pair.
    highest_wrong: f64,
}

impl Score {
    fn of(reference: &Path, candidate: &Scrambled) -> Self {
        let profile = |path: &Path| Profile::of(&Trace::open(path).unwrap(), 0).unwrap();
        let ours = profile(reference);
        let proposal = propose(&ours, &profile(&candidate.path));
        let common = ours.names.iter().filter(|name| {
            candidate
                .true_names
                .values()
                .any(|other| *other == name.name)
        });
        let mut score = Self {
            common: common.count(),
            ..Self::default()
        };
        for pair in &proposal.pairs {
            let sure = pair.confidence >= Proposal::SURE;
            if candidate.true_names[&pair.candidate] == pair.reference {
                score.right += 1;
                score.sure += usize::from(sure);
                continue;
            }
            score.highest_wrong = score.highest_wrong.max(pair.confidence);
            if sure {
                score.wrong_but_sure.push(format!(
                    "{} for {}",
                    candidate.true_names[&pair.candidate], pair.reference
                ));
            }
        }
        assert!(score.wrong_but_sure.is_empty(), "{score:?}");
        score
    }

    fn share_right(&self) -> f64 {
        self.right as f64 / self.common as f64
    }

    fn share_sure(&self) -> f64 {
        self.sure as f64 / self.common as f64
    }
}

const ARCHITECTURES: [&str; 5] = ["llama", "qwen2", "gpt2", "gemma2", "mixtral"];

#[test]
fn rounding_alone_leaves_no_doubt() {
    for architecture in ARCHITECTURES {
        let traces = Traces::tiny(architecture, "f32");
        let score = Score::of(
            &traces.reference,
            &scrambled(&traces.candidate, 3, &|_| true),
        );
        assert_eq!(
            (score.right, score.sure),
            (score.common, score.common),
            "{architecture}"
        );
        assert!(score.common >= 45, "{score:?}");
    }
}

#[test]
fn four_bit_weights_against_f32() {
    for architecture in ARCHITECTURES {
        let traces = Traces::tiny(architecture, "q4_0");
        let score = Score::of(
            &traces.reference,
            &scrambled(&traces.candidate, 4, &|_| true),
        );
        assert!(score.share_right() >= 0.97, "{architecture}: {score:?}");
        assert!(score.share_sure() >= 0.4, "{architecture}: {score:?}");
    }
}

#[test]
fn names_that_the_other_trace_lacks_are_not_forced_on_it() {
    for architecture in ARCHITECTURES {
        for weights in ["f32", "q4_0"] {
            let traces = Traces::tiny(architecture, weights);
            for seed in 0..6 {
                // Each side lacks three in ten, not the same ones.
                let lacks =
                    |salt: u64| move |name: &str| scramble::dice(seed ^ salt, name) % 10 < 7;
                let ours = scramble::kept(&traces.reference, &lacks(11));
                let score = Score::of(&ours, &scrambled(&traces.candidate, seed, &lacks(22)));
                if weights == "f32" {
                    assert_eq!(score.sure, score.common, "{architecture}, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn a_real_model() {
    let traces = Traces::of_model(&scramble::donor(), "f32");
    let score = Score::of(
        &traces.reference,
        &scrambled(&traces.candidate, 5, &|_| true),
    );
    assert_eq!(score.common, 513);
    assert!(
        score.share_right() >= 0.99 && score.share_sure() >= 0.95,
        "{score:?}"
    );
}

#[test]
fn other_layouts() {
    for architecture in ["llama", "qwen2"] {
        let traces = Traces::tiny(architecture, "f32");
        let other = rearranged(&traces.candidate);
        let score = Score::of(&traces.reference, &scrambled(&other, 6, &|_| true));
        // What is in another layout must agree to rounding to be sure; the other cache costs some of them that.
        assert_eq!(score.right, score.common, "{architecture}: {score:?}");
        assert!(score.share_sure() >= 0.85, "{architecture}: {score:?}");
        let itself = Score::of(
            &traces.reference,
            &scrambled(&rearranged(&traces.reference), 6, &|_| true),
        );
        assert_eq!(
            (itself.right, itself.sure),
            (itself.common, itself.common),
            "{architecture}: {itself:?}"
        );
    }
}

#[test]
fn one_batch_against_single_tokens() {
    let traces = Traces::tiny("llama", "f32");
    let other = single_tokens(&traces.candidate);
    let score = Score::of(&traces.reference, &scrambled(&other, 7, &|_| true));
    assert!(score.common >= 48, "{score:?}");
    assert_eq!(score.right, score.common, "{score:?}");
    assert!(score.share_sure() >= 0.95, "{score:?}");
}

#[test]
fn records_in_any_order() {
    let traces = Traces::tiny("qwen2", "f32");
    let other = scrambled(&traces.candidate, 8, &|_| true).shuffled();
    let score = Score::of(&traces.reference, &other);
    assert_eq!(
        (score.right, score.sure),
        (score.common, score.common),
        "{score:?}"
    );
}

#[test]
fn the_map_that_the_command_writes() {
    let traces = Traces::tiny("llama", "f32");
    let other = scrambled(&traces.candidate, 9, &|_| true);
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let output = scramble::parity(&[
        "align",
        &path(&traces.reference),
        &path(&other.path),
        "--propose",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let in_force: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let (theirs, rest) = line.strip_prefix('"')?.split_once("\" = \"")?;
            Some((theirs, rest.split_once('"')?.0))
        })
        .collect();
    assert_eq!(in_force.len(), other.true_names.len(), "{text}");
    assert!(
        in_force
            .iter()
            .all(|(theirs, ours)| other.true_names[*theirs] == *ours),
        "{text}"
    );

    // Nothing is sure enough for a confidence of 1, and then nothing takes effect.
    let output = scramble::parity(&[
        "align",
        &path(&traces.reference),
        &path(&other.path),
        "--propose",
        "--sure",
        "1",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.lines().any(|line| line.starts_with('"')), "{text}");
    assert!(text.lines().filter(|line| line.starts_with("# \"")).count() >= other.true_names.len());
}

#[test]
fn layers_of_one_pattern_are_one_line() {
    let traces = Traces::tiny("llama", "f32");
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let renamed = scramble::renamed(&traces.candidate, &|name| {
        name.replace("layer_", "blk.").replacen('_', ".", 1)
    });
    let output = scramble::parity(&[
        "align",
        &path(&traces.reference),
        &path(&renamed),
        "--propose",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\n\"blk.{i}.attn_out\" = \"layer_{i}_attn_out\" # 0.999, 3 layers\n"),
        "{text}"
    );
}
