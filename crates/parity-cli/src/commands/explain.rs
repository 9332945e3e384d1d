//! `parity explain`.

use crate::args::{ColorWhen, Explain, Format};
use crate::failure::Failure;
use crate::{progress, terminal};
use parity::align::maps::{Sample, choose};
use parity::check::{Code, Severity, Side};
use parity::explain::{RULES, Rule, Source, explain_at, rule_of};
use parity::recompute::Weights;
use parity::report::v1::{Explanation, Report};
use parity::report::{self, Json, Text};
use parity::trace::{Index, Trace};
use parity::{Options, compare_with_model, exit_code};
use std::io::Write;
use std::path::Path;

/// Prints a rule, or explains where two traces part.
pub(crate) fn run(args: &Explain, color: ColorWhen) -> Result<u8, Failure> {
    let Some(reference) = &args.reference else {
        return rules(args.format, RULES, color);
    };
    let Some(candidate) = &args.candidate else {
        return one_page(args.format, reference, color);
    };
    let (reference, candidate) = (Trace::open(reference)?, Trace::open(candidate)?);
    let offset = args.token_offset.unwrap_or(0);
    let weights = weights(args, &reference)?;
    let model = weights.as_deref();
    let places = places(args, &reference, &candidate, model);
    if let (Format::Json, Ok([]) | Err(Failure::NotComparable(_))) =
        (args.format, places.as_deref())
    {
        // Who asked for JSON reads JSON, whatever there is to say.
        show(args, &[], color)?;
    }
    let places = places?;
    if places.is_empty() {
        let note = "The traces do not disagree: nothing to explain.";
        match args.format {
            Format::Text => writeln!(terminal::stdout(color), "{note}")?,
            Format::Json => writeln!(terminal::stderr(color), "{note}")?,
        }
        return Ok(exit_code::AGREES);
    }
    let (reference_map, candidate_map) = args.maps.choices()?;
    let maps = [
        choose(&Sample::of(&reference)?, &reference_map),
        choose(&Sample::of(&candidate)?, &candidate_map),
    ];
    let reference = Index::mapped(&reference, maps[0].bound())?;
    let candidate = Index::mapped(&candidate, maps[1].bound())?;
    let explained = places.iter().map(|place| {
        let found = explain_at(
            &Source::new(&reference, place.seq, 0).shaped_like(&candidate),
            &Source::new(&candidate, place.seq, offset).shaped_like(&reference),
            model,
            &place.checkpoint,
            place.position,
        );
        found.as_ref().map(report::explanation).ok_or(place)
    });
    let explained: Vec<Result<Explanation, &Place>> = explained.collect();
    let any = explained.iter().any(Result::is_ok);
    let found: Vec<Explanation> = explained
        .into_iter()
        .map(|found| found.unwrap_or_else(|place| place.unexplained(&reference, &candidate)))
        .collect();
    show(args, &found, color)?;
    Ok(if any {
        exit_code::DIVERGED
    } else {
        exit_code::NOT_COMPARABLE
    })
}

fn one_page(format: Format, code: &Path, color: ColorWhen) -> Result<u8, Failure> {
    let code = code.to_string_lossy();
    let Some(rule) = rule_of(&code) else {
        return Err(Failure::message(format!(
            "`{code}` is not the code of a rule, and one trace alone cannot be explained; `parity explain --list` lists \
             the rules"
        )));
    };
    if format == Format::Json {
        return rules(format, &[rule], color);
    }
    let mut out = terminal::stdout(color);
    writeln!(out, "{}", rule.page.markdown().trim_end())?;
    Ok(exit_code::AGREES)
}

/// Codes and names, or as JSON whole pages.
fn rules(format: Format, rules: &[&Rule], color: ColorWhen) -> Result<u8, Failure> {
    let mut out = terminal::stdout(color);
    match format {
        Format::Text => {
            for rule in rules {
                writeln!(out, "{}  {}", rule.page.code, rule.page.name)?;
            }
        }
        Format::Json => {
            let pages: Vec<_> = rules.iter().map(|rule| report::rule(rule)).collect();
            Json.rules(&pages, &mut out)?;
        }
    }
    out.flush()?;
    Ok(exit_code::AGREES)
}

/// What is to be explained.
struct Place {
    checkpoint: String,
    position: i64,
    seq: u64,
}

impl Place {
    /// Why there is nothing to say of it.
    fn unexplained(&self, reference: &Index<'_>, candidate: &Index<'_>) -> Explanation {
        let name = &self.checkpoint;
        let lacks = match (reference.contains(name), candidate.contains(name)) {
            (false, false) => Some("neither trace has it"),
            (false, true) => Some("the reference does not have it"),
            (true, false) => Some("the candidate does not have it"),
            (true, true) => None,
        };
        let why = match lacks {
            Some(lacks) => format!("`{name}` cannot be explained: {lacks}"),
            None => format!(
                "`{name}` at position {} cannot be explained: not all its elements were captured on both sides; log with \
                 ORCH_LOG_DETAIL=full, or `parity capture --detail full`",
                self.position
            ),
        };
        report::not_captured(name, self.position, why)
    }
}

/// How many origins are explained.
const EXPLAINED: usize = 4;

/// The place that was asked for, or those where the traces begin to disagree.
fn places(
    args: &Explain,
    reference: &Trace,
    candidate: &Trace,
    model: Option<&dyn Weights>,
) -> Result<Vec<Place>, Failure> {
    if let Some(at) = &args.at {
        let (checkpoint, position) = match at.split_once('@') {
            Some((checkpoint, position)) => {
                let parsed = position.parse().map_err(|_| {
                    Failure::message(format!("--at `{at}`: `{position}` is not a position"))
                })?;
                (checkpoint, parsed)
            }
            None => (at.as_str(), 0),
        };
        return Ok(vec![Place {
            checkpoint: checkpoint.to_owned(),
            position,
            seq: 0,
        }]);
    }
    let bar = progress::bytes("comparing", reference.len_bytes() + candidate.len_bytes());
    let (reference_map, candidate_map) = args.maps.choices()?;
    let options = Options {
        token_offset: args.token_offset,
        reference_map,
        candidate_map,
        ..Options::default()
    };
    let compared = compare_with_model(reference, candidate, &options, model, &mut |progress| {
        bar.set_position(progress.read_bytes);
    });
    bar.finish_and_clear();
    let compared = compared?;
    if compared.exit_code == exit_code::NOT_COMPARABLE && !only_rows_are_shifted(&compared) {
        let reason = compared.reasons.first().cloned().unwrap_or_default();
        return Err(Failure::NotComparable(format!("not comparable: {reason}")));
    }
    let seq = compared
        .first_divergence
        .as_ref()
        .map_or(0, |first| first.pair.seq);
    let places = compared.origins.into_iter().filter_map(|origin| {
        Some(Place {
            checkpoint: origin.checkpoints.into_iter().next()?,
            position: origin.token_idx,
            seq,
        })
    });
    Ok(places.take(EXPLAINED).collect())
}

/// True where all that speaks against a comparison is that rows of logits belong to other positions: that is what is
/// to be explained.
fn only_rows_are_shifted(compared: &Report) -> bool {
    let mut errors =
        (compared.findings.iter()).filter(|found| found.severity == Severity::Error.name());
    !compared.origins.is_empty()
        && errors
            .all(|found| found.code == Code::OtherLogits.id() && found.side == Side::Both.name())
}

fn show(args: &Explain, found: &[Explanation], color: ColorWhen) -> Result<(), Failure> {
    let mut out = terminal::stdout(color);
    match args.format {
        Format::Text => {
            let text = Text {
                color: true,
                unicode: terminal::unicode(),
                verbose: args.verbose,
            };
            for (index, found) in found.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                text.explanation(found, &mut out)?;
            }
        }
        Format::Json => Json.explanations(found, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

#[cfg(not(feature = "llama"))]
fn weights(_: &Explain, _: &Trace) -> Result<Option<Box<dyn Weights>>, Failure> {
    Ok(None)
}

#[cfg(feature = "llama")]
fn weights(args: &Explain, reference: &Trace) -> Result<Option<Box<dyn Weights>>, Failure> {
    let Some(path) = &args.model else {
        return Ok(None);
    };
    let model = crate::model::Model::open(path, reference.run().info())?;
    Ok(Some(Box::new(model)))
}
