//! Causes for the report.

use super::{Number, v1};
use crate::explain::{Basis, Cause, Explanation, Outcome, Rule, Site};

/// An explanation as it leaves the library.
pub fn explanation(found: &Explanation) -> v1::Explanation {
    v1::Explanation {
        checkpoint: found.checkpoint.clone(),
        positions: positions(found),
        operation: found.kind.name().to_owned(),
        outcome: match found.outcome {
            Outcome::Found => "found",
            Outcome::Inherited => "inherited",
            Outcome::ReferenceDiffers => "reference differs",
            Outcome::Unknown => "unknown",
        }
        .to_owned(),
        summary: found.summary(),
        affected: found.affected.clone(),
        divergence: Number(found.divergence),
        from_own_inputs: found.unmodified.map(Number),
        reference_from_its_inputs: found.formula_residual.map(Number),
        inputs: Number(found.inputs),
        causes: causes(found),
        tried: found
            .tried
            .iter()
            .map(|tried| v1::Tried {
                code: tried.page.code.to_owned(),
                claim: tried.fit.claim.clone(),
                residual: Number(tried.fit.residual),
                fitted: tried.fit.free as u64,
                explains: tried.explains,
            })
            .collect(),
    }
}

/// A place of which too little was captured to explain anything, and why.
pub fn not_captured(checkpoint: &str, position: i64, why: String) -> v1::Explanation {
    v1::Explanation {
        checkpoint: checkpoint.to_owned(),
        positions: [position, position],
        operation: Site::of(checkpoint).kind.name().to_owned(),
        outcome: "not captured".to_owned(),
        summary: why,
        affected: Vec::new(),
        divergence: Number(f64::NAN),
        from_own_inputs: None,
        reference_from_its_inputs: None,
        inputs: Number(f64::NAN),
        causes: Vec::new(),
        tried: Vec::new(),
    }
}

/// A rule's page.
pub fn rule(rule: &Rule) -> v1::Rule {
    let page = &rule.page;
    v1::Rule {
        code: page.code.to_owned(),
        name: page.name.to_owned(),
        operations: (rule.kinds.iter())
            .map(|kind| kind.name().to_owned())
            .collect(),
        detects: page.detects.to_owned(),
        evidence: page.evidence.to_owned(),
        confirm: page.confirm.to_owned(),
        fix: page.fix.to_owned(),
        reports: page
            .reports
            .iter()
            .map(|&report| report.to_owned())
            .collect(),
    }
}

/// The causes of an explanation.
pub fn causes(found: &Explanation) -> Vec<v1::Cause> {
    found.causes.iter().map(|one| cause(one, found)).collect()
}

fn positions(found: &Explanation) -> [i64; 2] {
    [found.tokens.start, found.tokens.end - 1]
}

fn cause(cause: &Cause, found: &Explanation) -> v1::Cause {
    let fit = &cause.fit;
    let (basis, floor, without) = match fit.basis {
        Basis::Inputs => (
            "inputs",
            found.floors[0],
            found.unmodified.unwrap_or(found.divergence),
        ),
        Basis::Reference => ("reference", found.floors[1], found.divergence),
    };
    v1::Cause {
        code: cause.page.code.to_owned(),
        name: cause.page.name.to_owned(),
        certainty: cause.certainty.name().to_owned(),
        benign: fit.benign,
        claim: cause.claim.clone(),
        checkpoint: found.checkpoint.clone(),
        positions: positions(found),
        parameters: fit
            .parameters
            .iter()
            .map(|parameter| v1::Parameter {
                name: parameter.name.clone(),
                value: Number(parameter.value),
                looks_like: parameter.looks_like.clone(),
            })
            .collect(),
        residual: Number(fit.residual),
        without: Number(without),
        floor: Number(fit.tolerance.unwrap_or(floor).max(floor)),
        basis: basis.to_owned(),
        evidence: fit
            .evidence
            .iter()
            .map(|(name, value)| v1::Evidence {
                name: name.clone(),
                value: Number(*value),
            })
            .collect(),
        confirm: fit
            .confirm
            .clone()
            .unwrap_or_else(|| cause.page.confirm.to_owned()),
        fix: cause.page.fix.to_owned(),
    }
}
