//! Reasons why numbers that disagree prove nothing, looked for once all pairs have been measured.

use super::options::Options;
use super::pairing::{Context, Pairing};
use crate::align::layout::Undone;
use crate::check::{Code, Findings, Inputs, LogitsForm, Side, Survey, estimate, first_rows};
use crate::error::Error;
use crate::judge::Tally;
use orch_log::format::TOKENS;

/// What is known of a comparison at its end.
pub(super) struct Facts<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) options: &'a Options,
    pub(super) pairing: &'a Pairing,
    pub(super) tally: &'a Tally,
    /// Of reference and candidate.
    pub(super) surveys: [&'a Survey; 2],
    /// Of reference and candidate.
    pub(super) tokens: [&'a Inputs; 2],
}

/// How many names are tried for a distance of positions.
const TRIED: usize = 4;

/// Adds all of it.
pub(super) fn note_comparability(findings: &mut Findings, facts: &Facts<'_>) -> Result<(), Error> {
    note_maps(findings, facts);
    note_ranks(findings, facts);
    note_offset(findings, facts)?;
    note_logits(findings, facts);
    note_parameters(findings, facts);
    note_lanes(findings, facts);
    note_least_coverage(findings, facts);
    Ok(())
}

/// Several shipped maps read the names, and differently.
fn note_maps(findings: &mut Findings, facts: &Facts<'_>) {
    for (side, chosen) in [Side::Reference, Side::Candidate]
        .into_iter()
        .zip(facts.context.maps)
    {
        if let [first, others @ ..] = chosen.undecided.as_slice() {
            findings.add_with_help(
                Code::NamesUndecided,
                side,
                format!("its names are those of the maps `{first}` and `{}`, which read them differently", others.join("`, `")),
                "say whose names they are: `--map-reference NAME`, `--map-candidate NAME`",
            );
        }
    }
}

/// Slices of one side against whole tensors of the other.
fn note_ranks(findings: &mut Findings, facts: &Facts<'_>) {
    let [reference, candidate] = facts.surveys;
    if reference.has_ranks != candidate.has_ranks {
        let side = if reference.has_ranks {
            Side::Reference
        } else {
            Side::Candidate
        };
        findings.add_with_help(
            Code::RanksNotMerged,
            side,
            "it holds records of several ranks, the other trace does not".to_owned(),
            "put them together first: `parity merge RANK… -o merged.jsonl`",
        );
    }
}

/// Positions counted from different origins: from the token ids, else from the numbers.
fn note_offset(findings: &mut Findings, facts: &Facts<'_>) -> Result<(), Error> {
    let Facts { context, tally, .. } = facts;
    let disagrees = tally.above_limit > 0 || tally.compared == 0;
    if facts.options.token_offset.is_some() || !disagrees {
        return Ok(());
    }
    if !context.inputs.is_proven()
        && let Some((offset, ids)) = facts.tokens[0].shift_of(facts.tokens[1])
    {
        add_offset(
            findings,
            offset,
            format!("{ids} token ids in a row are the same"),
        );
        return Ok(());
    }
    let agrees = |name: &str| {
        tally
            .checkpoint(name)
            .is_some_and(|tally| tally.above_limit == 0)
    };
    let others_agree = tally
        .checkpoints()
        .iter()
        .any(|tally| tally.checkpoint != "logits" && agrees(&tally.checkpoint));
    let [reference, candidate] = context.maps;
    let (ours, theirs) = (reference.bound(), candidate.bound());
    for name in names_to_try(facts) {
        let is_logits = name == "logits" && others_agree;
        if context.inputs.is_proven() && !is_logits {
            continue;
        }
        let a = first_rows(context.reference, ours.as_ref(), &name)?;
        let b = first_rows(context.candidate, theirs.as_ref(), &name)?;
        let Some(shift) = estimate(&a, &b, if is_logits { 1 } else { 2 }) else {
            continue;
        };
        let evidence = format!(
            "{} of {} common rows of `{name}` are then the same, and {} as they are counted",
            shift.agreeing, shift.common, shift.agreeing_unshifted
        );
        if is_logits {
            findings.add_with_help(
                Code::OtherLogits,
                Side::Both,
                format!(
                    "the candidate's rows of `logits` are those of the reference {} positions further on, while other \
                     checkpoints agree as they are counted: {evidence}",
                    shift.offset
                ),
                "a batch of which only the last row is asked for belongs to the position of that row, not of the first",
            );
        } else {
            add_offset(findings, shift.offset, evidence);
        }
        break;
    }
    Ok(())
}

fn add_offset(findings: &mut Findings, offset: i64, evidence: String) {
    findings.add(Code::PositionsShifted, Side::Both, || {
        format!("the candidate counts its positions from another origin, `--token-offset {offset}` brings both together: {evidence}")
    });
}

/// Names of both traces: the end of the model first, where rows of different tokens are the least alike.
fn names_to_try(facts: &Facts<'_>) -> Vec<String> {
    let [reference, candidate] = facts.surveys;
    let wanted = |name: &str| {
        name != TOKENS && facts.options.filter.passes(name) && candidate.name(name).is_some()
    };
    let mut names: Vec<String> = reference
        .names()
        .map(|(name, _)| name.to_owned())
        .filter(|name| wanted(name))
        .collect();
    names.sort_by_key(|name| match name.as_str() {
        "logits" => 0,
        "final_norm" => 1,
        "embedding" => 3,
        _ => 2,
    });
    names.truncate(TRIED);
    names
}

/// Logits after the sampler, and logits of another vocabulary.
fn note_logits(findings: &mut Findings, facts: &Facts<'_>) {
    let [ours, theirs] = facts.surveys.map(Survey::logits_form);
    for (form, other, side) in [
        (ours, theirs, Side::Reference),
        (theirs, ours, Side::Candidate),
    ] {
        let said = match form {
            _ if form == other => continue,
            LogitsForm::Unknown | LogitsForm::Plain => continue,
            LogitsForm::Probabilities => {
                "its `logits` are probabilities: no number is negative, and each row sums to 1"
            }
            LogitsForm::Masked => {
                "most of its `logits` are minus infinity: a sampler has cut them off"
            }
        };
        findings.add_with_help(
            Code::OtherLogits,
            side,
            said.to_owned(),
            "log the output of the last projection, before temperature, penalties, cut-offs and softmax",
        );
    }
    let mut mismatches = facts.pairing.shape_mismatches.iter();
    if let Some((_, ours, theirs)) = mismatches.find(|(key, _, _)| key.checkpoint == "logits")
        && let (Some(a), Some(b)) = (ours.last(), theirs.last())
        && a != b
    {
        findings.add_with_help(
            Code::DifferentVocabulary,
            Side::Both,
            format!("the reference has {a} logits a position, the candidate {b}: more apart than padding explains"),
            "load the same model, with the same tokenizer, in both engines",
        );
    }
}

/// Another model file whose embedding is another one, too.
fn note_parameters(findings: &mut Findings, facts: &Facts<'_>) {
    let other = |name: &str| {
        facts
            .tally
            .checkpoint(name)
            .is_some_and(|tally| tally.above_limit > 0)
    };
    if findings.has(Code::DifferentModelFiles)
        && facts.context.inputs.is_proven()
        && other("embedding")
    {
        findings.add(Code::DifferentParameters, Side::Both, || {
            "the model files differ, and so does the embedding of the same tokens: these are two models".to_owned()
        });
    }
}

/// A lane permutation is benign where Q and K have the same one.
fn note_lanes(findings: &mut Findings, facts: &Facts<'_>) {
    let Some(place) = facts.pairing.undone.of(&Undone::LanesInterleaved) else {
        return;
    };
    for (one, other) in [("q", "k"), ("q_rope", "k_rope")] {
        for (one, other) in [(one, other), (other, one)] {
            let has = |stage: &str| place.checkpoints.contains(&format!("layer_*_{stage}"));
            let compared = facts
                .tally
                .checkpoints()
                .iter()
                .any(|tally| tally.checkpoint.ends_with(&format!("_{other}")));
            if has(one) && !has(other) && compared {
                findings.add_with_help(
                    Code::LanesOnOneSide,
                    Side::Both,
                    format!("the lanes of `{one}` are in another order in the candidate, those of `{other}` are not"),
                    "scores only survive where Q and K are reordered alike: look at `attn_scores`",
                );
            }
        }
    }
}

/// `--min-coverage`.
fn note_least_coverage(findings: &mut Findings, facts: &Facts<'_>) {
    let Some(least) = facts.options.min_coverage else {
        return;
    };
    let records = facts.surveys[0].records_of(&facts.options.filter);
    let compared = facts.pairing.compared_records[0];
    let percent = if records == 0 {
        0.0
    } else {
        100.0 * compared as f64 / records as f64
    };
    if percent < least {
        findings.add_with_help(
            Code::CoverageTooLow,
            Side::Both,
            format!("{compared} of the reference's {records} records were compared: {percent:.1} %, less than the {least} % that were asked for"),
            "what is missing is listed above; `parity align` shows it with both names",
        );
    }
}
