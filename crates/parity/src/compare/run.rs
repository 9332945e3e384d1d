//! From two traces to a report.

use super::causes::causes;
use super::comparable::{Facts, note_comparability};
use super::inspect::inspect_worst;
use super::options::Options;
use super::pairing::{Context, Outcome, Pairing};
use super::recomputed::judge_recomputed;
use super::setup::Setup;
use crate::align::Progress;
use crate::check::soundness::{Finding as Damage, is_damaged};
use crate::check::{Code, Findings, SameInput, Side, Survey, compare_runs};
use crate::error::Error;
use crate::judge::{Criterion, Detail, Limit, Noise, Tally, ToleranceUse, Verdict, exit_code};
use crate::recompute::Weights;
use crate::report::v1::Report;
use crate::report::words::counted;
use crate::report::{Material, build, cells, edges, tolerances};
use crate::trace::Trace;

/// How many pairs pass between two calls of `progress`.
const PROGRESS_EVERY: u64 = 256;

/// Compares `candidate` with `reference`.
///
/// Both files are read once from front to end, each by a thread of its own, a scan for token ids before that apart; memory
/// is bounded by one block of one pair, three batches of 64 KiB of text of each trace (or as many longer lines), the
/// checkpoint names, and about 50 bytes for each record whose partner has not come yet.
/// `progress` is told now and then how far the files have been read.
///
/// # Errors
///
/// When a file cannot be read. Damage inside a trace, and traces that have nothing to do with each other, are not
/// errors but part of the report.
pub fn compare(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    compare_with_model(reference, candidate, options, None, progress)
}

/// The same with the model at hand: operations are computed anew from the candidate's own inputs, which takes away the
/// noise that those inputs bring.
///
/// # Errors
///
/// As [`compare`], and when the model cannot be read.
pub fn compare_with_model(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
    weights: Option<&dyn Weights>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let mut findings = compare_runs(reference.run(), candidate.run());
    let setup = Setup::of(reference, candidate, options)?;
    let inputs = &setup.inputs;
    findings.extend(inputs.findings(&setup.tokens[0], &setup.tokens[1]));
    let context = setup.context(reference, candidate);
    let mut pairing = Pairing::default();
    let mut tally = Tally::new(limit(reference, candidate, options), options.top);
    let lockstep = context.lockstep(&options.filter)?;
    let (unpaired, read) = std::thread::scope(|scope| {
        let mut lockstep = lockstep.with_soundness(scope);
        while let Some(pair) = lockstep.next_pair()? {
            if pairing.pairs.is_multiple_of(PROGRESS_EVERY) {
                progress(lockstep.progress());
            }
            let outcome = context.examine(&pair)?;
            if matches!(outcome, Outcome::Unusable(_)) {
                tally.add_unmeasured(&pair.key);
            }
            if let Some(measured) = pairing.note(&pair, outcome) {
                tally.add(&pair, measured);
            }
            lockstep.give_back(pair);
        }
        progress(lockstep.progress());
        Ok::<_, Error>((lockstep.unpaired()?, lockstep.finish()))
    })?;
    let [
        (reference_survey, of_reference),
        (candidate_survey, of_candidate),
    ] = read;
    let soundness = [of_reference, of_candidate];
    let surveys = (&reference_survey, &candidate_survey);
    tally.judge();
    let not_recomputed = judge_recomputed(&context, &mut tally, weights)?;
    let uses = tally.apply(&options.tolerances);
    tally.find_origins();
    show_first(&context, &mut tally)?;
    note_coverage(&mut findings, &pairing, &tally, surveys, options);
    note_positions(&mut findings, inputs, &tally, surveys, options);
    let facts = Facts {
        context: &context,
        options,
        pairing: &pairing,
        tally: &tally,
        surveys: [surveys.0, surveys.1],
        tokens: [&setup.tokens[0], &setup.tokens[1]],
    };
    note_comparability(&mut findings, &facts)?;
    let mut report = build(Material {
        verdict: verdict(&findings, &soundness, &tally),
        traces: (reference, candidate),
        surveys,
        filter: &options.filter,
        maps: context.maps,
        token_offset: context.token_offset,
        pairing: &pairing,
        tally: &tally,
        inputs,
        unpaired,
        findings,
        soundness,
        not_recomputed,
    });
    if options.cells {
        report.cells = Some(cells(&tally, &report.checkpoints));
        report.edges = edges(&report.checkpoints);
    }
    report.causes = causes(&context, &tally, weights)?;
    report.inspections = inspect_worst(&setup, (reference, candidate), &tally, options)?;
    note_strictness(&mut report, options, &uses);
    Ok(report)
}

/// What fails a run whose verdict would not.
fn note_strictness(report: &mut Report, options: &Options, uses: &[ToleranceUse]) {
    report.tolerances = tolerances(&options.tolerances, uses);
    let excused: u64 = report.tolerances.iter().map(|one| one.excused).sum();
    if excused > 0 {
        report.reasons.push(format!(
            "of them, {} would count as more than rounding without the tolerance file",
            counted(excused, "pair")
        ));
    }
    let needless: Vec<String> = report
        .tolerances
        .iter()
        .filter(|tolerance| tolerance.needless)
        .map(|tolerance| {
            format!(
                "the tolerance of `{}` is no longer needed and can be deleted",
                tolerance.checkpoint
            )
        })
        .collect();
    let fails = !needless.is_empty() || options.strict && report.verdict == Verdict::Drift.name();
    if fails && report.exit_code == exit_code::AGREES {
        report.exit_code = exit_code::DIVERGED;
    }
    report.reasons.extend(needless);
}

/// Reads the pair of the first divergence once more: which one it is was not known when it passed.
fn show_first(context: &Context<'_>, tally: &mut Tally) -> Result<(), Error> {
    let Some(origin) = tally.judgement().first() else {
        return Ok(());
    };
    let wanted = tally.pairs()[origin.first];
    let name = tally.name(wanted.name).to_owned();
    let filter = orch_log::Filter::new(&literal(&name));
    let mut lockstep = context.lockstep(&filter)?;
    while let Some(pair) = lockstep.next_pair()? {
        if pair.key.checkpoint == name
            && pair.key.token_idx == wanted.token_idx
            && pair.reference.offset_bytes == wanted.offset_bytes
            && let Outcome::Measured(compared) = context.examine(&pair)?
        {
            let detail = Detail::of(&pair, *compared, tally.limit());
            tally.set_first(detail);
            break;
        }
    }
    Ok(())
}

/// A filter that passes this name; what a filter takes for a sign stands for any character.
fn literal(name: &str) -> String {
    name.replace([',', '!', '*', '['], "?")
}

pub(super) fn limit(reference: &Trace, candidate: &Trace, options: &Options) -> Limit {
    match options.criterion {
        Criterion::Noise => {
            let noise = Noise::of_runs(reference.run().info(), candidate.run().info());
            Limit::Noise(noise.calibrated(options.calibration.clone()))
        }
        Criterion::MaxNmse(limit) => Limit::MaxNmse(limit),
        Criterion::Bands => Limit::Bands,
    }
}

/// A comparison of nothing is not a pass.
fn note_coverage(
    findings: &mut Findings,
    pairing: &Pairing,
    tally: &Tally,
    (reference, candidate): (&Survey, &Survey),
    options: &Options,
) {
    if tally.compared > 0 || reference.records == 0 || candidate.records == 0 {
        return;
    }
    if pairing.pairs > pairing.token_pairs {
        findings.add(Code::NothingComparable, Side::Both, || {
            format!(
                "none of the {} pairs could be compared: {} differ in shape, {} lie past the point where the inputs \
                 part, {} have no usable numbers",
                pairing.pairs - pairing.token_pairs,
                pairing.shape_mismatch_count,
                pairing.past_inputs,
                pairing.unusable_count
            )
        });
        return;
    }
    let wanted = |name: &str| options.filter.passes(name) && name != orch_log::format::TOKENS;
    let names = |survey: &Survey| -> Vec<String> {
        survey
            .names()
            .filter(|(name, _)| wanted(name))
            .map(|(name, _)| name.escape_debug().to_string())
            .collect()
    };
    let (ours, theirs) = (names(reference), names(candidate));
    let common = reference
        .names()
        .map(|(name, _)| name)
        .find(|name| wanted(name) && candidate.name(name).is_some());
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        [first, second, rest @ ..] if rest.len() > 1 => {
            format!("`{first}`, `{second}` and {} more", rest.len())
        }
        few => format!("`{}`", few.join("`, `")),
    };
    let range = |survey: &Survey, name: &str| {
        survey.name(name).map_or_else(String::new, |name| {
            match (name.first_position, name.last_position) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first} to {last}"),
            }
        })
    };
    match common {
        Some(name) => findings.add_with_help(
            Code::NothingInCommon,
            Side::Both,
            format!(
                "no record has a partner: both have `{name}`, the reference at positions {}, the candidate at {}",
                range(reference, name),
                range(candidate, name)
            ),
            "positions counted from another origin? `--token-offset N` is added to the candidate's",
        ),
        None => findings.add_with_help(
            Code::NothingInCommon,
            Side::Both,
            format!(
                "no checkpoint name in common: the reference has {}, the candidate {}",
                list(&ours),
                list(&theirs)
            ),
            "names must be equal; `--checkpoint` selects among them",
        ),
    }
}

/// Numbers that disagree prove nothing while nobody knows that the positions mean the same.
fn note_positions(
    findings: &mut Findings,
    inputs: &SameInput,
    tally: &Tally,
    (reference, candidate): (&Survey, &Survey),
    options: &Options,
) {
    let known = inputs.equal_positions > 0
        || !inputs.differences.is_empty()
        || options.token_offset.is_some();
    if known || tally.above_limit == 0 {
        return;
    }
    let first = |survey: &Survey| {
        let compared = tally
            .checkpoints()
            .iter()
            .filter_map(|tally| survey.name(&tally.checkpoint));
        compared.map(|name| name.first_position).min()
    };
    if let (Some(a), Some(b)) = (first(reference), first(candidate))
        && a != b
    {
        findings.add_with_help(
            Code::PositionsUnproven,
            Side::Both,
            format!(
                "the reference begins at position {a}, the candidate at {b}, and no token ids prove that both count \
                 from the same origin; the numbers disagree, which is what different tokens look like"
            ),
            "log `tokens` in both engines, or give the distance: `--token-offset N`, 0 where both count alike",
        );
    }
}

fn verdict(findings: &Findings, soundness: &[Vec<Damage>; 2], tally: &Tally) -> Verdict {
    let damaged = soundness.iter().any(|found| is_damaged(found));
    if findings.has_errors() || damaged || tally.compared == 0 {
        Verdict::NotComparable
    } else if tally.judgement().first().is_some()
        || tally.left_out_above_limit() > 0
        || !matches!(tally.limit(), Limit::Noise(_)) && tally.above_limit > 0
    {
        Verdict::Diverged
    } else if tally.harmful_above_limit() {
        Verdict::Drift
    } else if tally.identical == tally.compared {
        Verdict::Match
    } else {
        Verdict::Rounding
    }
}
