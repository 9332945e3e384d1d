//! From outlines to an explanation.

use super::Outline;
use super::relations::relations;
use super::stand_in::{Form, StandIn};
use crate::explain::judgement::{before_rules, ordered, test};
use crate::explain::{Explanation, Kind, Known, Outcome, RULES, Scene, Side, Site, Tried};
use std::ops::Range;

/// Records that are looked at together, at most.
const ROWS: usize = 64;

/// What may be said of one checkpoint from the outlines of its records; `None` where there are none on both sides.
pub(in crate::explain) fn explain_outline(
    known: Known<'_>,
    checkpoint: &str,
    position: i64,
) -> Option<Explanation> {
    let passes: Vec<Range<i64>> = known
        .reference
        .passes(checkpoint)
        .into_iter()
        .filter(|pass| {
            let of = |side: &dyn crate::explain::Tensors| side.outline(checkpoint, pass.clone());
            match (of(known.reference), of(known.candidate)) {
                (Some(a), Some(b)) => a.len == b.len && a.inner == b.inner,
                _ => false,
            }
        })
        .collect();
    let own = passes.iter().find(|pass| pass.contains(&position))?;
    let batch = (own.end - own.start > 1).then(|| vec![own.clone()]);
    let groups: Vec<Vec<Range<i64>>> = batch.into_iter().chain(singles(&passes)).collect();
    let mut explained: Vec<Explanation> = groups
        .iter()
        .filter_map(|records| explain_records(known, checkpoint, records))
        .collect();
    let best = explained
        .iter()
        .position(|one| one.outcome == Outcome::Found)
        .unwrap_or(0);
    (best < explained.len()).then(|| explained.swap_remove(best))
}

/// The last records of one token each that follow each other.
fn singles(passes: &[Range<i64>]) -> Option<Vec<Range<i64>>> {
    let mut found: Vec<Range<i64>> = Vec::new();
    for pass in passes.iter().rev().take(ROWS) {
        let follows = found.last().is_none_or(|later| pass.end == later.start);
        if pass.end - pass.start != 1 || !follows {
            break;
        }
        found.push(pass.clone());
    }
    found.reverse();
    (!found.is_empty()).then_some(found)
}

fn explain_records(
    known: Known<'_>,
    checkpoint: &str,
    records: &[Range<i64>],
) -> Option<Explanation> {
    let outlines = |side: Side| -> Option<Vec<Outline>> {
        let side = match side {
            Side::Reference => known.reference,
            Side::Candidate => known.candidate,
        };
        records
            .iter()
            .map(|record| side.outline(checkpoint, record.clone()))
            .collect()
    };
    let (reference, candidate) = (outlines(Side::Reference)?, outlines(Side::Candidate)?);
    let kind = Site::of(checkpoint).kind;
    let mut explanation: Option<Explanation> = None;
    let mut tried: Vec<Tried> = Vec::new();
    let single = candidate
        .iter()
        .all(|one| one.pass.end - one.pass.start == 1);
    for (form, kind, codes) in tests(kind, checkpoint) {
        // Statistics of several rows, or of several heads, are not those of a row that is normed.
        let rows =
            single && candidate.len() > 1 && candidate.iter().all(|one| one.inner.len() == 1);
        if form == Form::Rows && !rows {
            continue;
        }
        let stand_ins =
            [known.reference, known.candidate].map(|side| StandIn::new(side, records, form));
        let stood = Known {
            reference: &stand_ins[0],
            candidate: &stand_ins[1],
            model: None,
        };
        let Some(mut scene) = Scene::new(stood, checkpoint, stand_ins[0].tokens()) else {
            continue;
        };
        scene.site.kind = kind;
        if form != Form::Linear {
            // A row may have fewer elements than are logged.
            let values = candidate.iter().map(|outline| outline.values.len());
            scene.lanes = Some(values.min().unwrap_or(0));
        }
        let header = before_rules(&scene);
        if header.outcome == Outcome::Unknown {
            let rules = RULES
                .iter()
                .filter(|rule| codes.contains(&rule.page.code) && rule.kinds.contains(&kind));
            for rule in rules {
                tried.extend(test(rule, &scene, &header));
            }
            if form == Form::Linear {
                tried.extend(relations(&scene, &reference, &candidate, &header));
                tried.extend(of_the_row_before(&scene, codes, &header));
            }
        }
        if explanation.is_none() {
            explanation = Some(header);
        }
    }
    let mut explanation = explanation?;
    explanation.outline = true;
    explanation.kind = kind;
    if tried.iter().any(|one| one.explains) {
        explanation.causes = ordered(&mut tried, &explanation);
        explanation.outcome = Outcome::Found;
    }
    explanation.tried = tried;
    Some(explanation)
}

/// Which rules can do with which stand-ins at an operation, and what it is called there: where its formula does not hold
/// for the stand-ins, it is one without a formula.
fn tests(kind: Kind, checkpoint: &str) -> Vec<(Form, Kind, &'static [&'static str])> {
    let linear = match kind {
        Kind::Residual => (Form::Linear, kind, &["P080", "P081"] as &[_]),
        Kind::Linear => (Form::Linear, kind, &["P008", "P026"] as &[_]),
        _ => (Form::Linear, Kind::Other, &[] as &[_]),
    };
    let firsts = match kind {
        Kind::Activation => (kind, &["P005", "P070", "P071", "P072"] as &[_]),
        // Ten scores do not tell a cap from another scale or rounding.
        Kind::Scores => (Kind::Other, &[] as &[_]),
        Kind::Linear if checkpoint == "logits" => (kind, &["P005", "P051"] as &[_]),
        Kind::Residual => (kind, &["P005"] as &[_]),
        _ => (Kind::Other, &["P005"] as &[_]),
    };
    let mut tests = vec![linear, (Form::Firsts, firsts.0, firsts.1)];
    if kind == Kind::Norm {
        const NORMS: &[&str] = &["P010", "P011", "P012", "P013", "P014", "P016", "P018"];
        tests.push((Form::Rows, kind, NORMS));
    }
    tests
}

/// What the token before has to do with it: only where that one's record is there, too.
fn of_the_row_before(scene: &Scene<'_>, codes: &[&str], header: &Explanation) -> Vec<Tried> {
    let rest = scene.tokens.start + 1..scene.tokens.end;
    if rest.is_empty() || rest.end - rest.start < 2 {
        return Vec::new();
    }
    let Some(mut later) = Scene::new(scene.known, &scene.checkpoint, rest) else {
        return Vec::new();
    };
    later.site.kind = scene.kind();
    let looks_back = |code: &str| code == "P002" || (code == "P008" && codes.contains(&code));
    let rules = RULES.iter().filter(|rule| looks_back(rule.page.code));
    rules.flat_map(|rule| test(rule, &later, header)).collect()
}
