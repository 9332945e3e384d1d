//! Did both runs use the same model?

use super::finding::{Code, Findings, Side};
use crate::trace::{RunFile, RunInfo, RunModel};

/// What the two run files say about the two models.
///
/// Another architecture or depth is another function: not comparable. Another file of the same model
/// (quantised, converted) is worth a comparison; the limits then follow the coarser weights.
pub fn compare_runs(reference: &RunFile, candidate: &RunFile) -> Findings {
    let mut findings = Findings::default();
    for (side, run) in [(Side::Reference, reference), (Side::Candidate, candidate)] {
        match run {
            RunFile::Found(info) => {
                version(info, side, &mut findings);
                perturbed(info, side, &mut findings);
            }
            RunFile::Missing(path) => findings.add_with_help(
                Code::RunFileMissing,
                side,
                format!("no `{}`: model, settings and prompt of this run are unknown", path.display()),
                "loggers write it when the engine describes its run; without it fewer mistakes are noticed",
            ),
            RunFile::Unreadable { path, message } => {
                findings.add(Code::RunFileUnreadable, side, || {
                    format!("`{}` cannot be used: {message}", path.display())
                });
            }
        }
    }
    let model = |run: &RunFile| run.info().and_then(|info| info.model.clone());
    if let (Some(a), Some(b)) = (model(reference), model(candidate)) {
        compare_models(&a, &b, &mut findings);
    }
    findings
}

fn version(info: &RunInfo, side: Side, findings: &mut Findings) {
    if let Some(version) = info
        .format_version
        .filter(|version| *version > orch_log::format::FORMAT_VERSION)
    {
        findings.add_with_help(
            Code::RunFileUnreadable,
            side,
            format!(
                "the trace has format version {version}, this program knows {}",
                orch_log::format::FORMAT_VERSION
            ),
            "a newer `parity` reads all of it",
        );
    }
}

/// A trace of a run that computed something else because it was watched proves nothing about the run that nobody watches.
fn perturbed(info: &RunInfo, side: Side, findings: &mut Findings) {
    if let Some(distance) = info.perturbed_by() {
        let by = if distance.is_empty() {
            String::new()
        } else {
            format!(" (relative distance {distance})")
        };
        findings.add_with_help(
            Code::Perturbed,
            side,
            format!(
                "capturing changed the numbers: the logits are not those of the same run unwatched{by}"
            ),
            "what is compared is the watched run; llama.cpp on CUDA needs GGML_CUDA_DISABLE_FUSION=1, which `parity capture \
             llama` sets unless the environment says otherwise",
        );
    }
}

fn compare_models(a: &RunModel, b: &RunModel, findings: &mut Findings) {
    if let Some((x, y)) = different(&a.architecture, &b.architecture) {
        findings.add(Code::DifferentModels, Side::Both, || {
            format!("the reference is a `{x}` model, the candidate a `{y}` model")
        });
    }
    if let (Some(x), Some(y)) = (a.layers, b.layers)
        && x != y
    {
        findings.add(Code::DifferentModels, Side::Both, || {
            format!("the reference has {x} layers, the candidate {y}")
        });
    }
    if let Some((x, y)) = different(&a.weights, &b.weights) {
        findings.add_with_help(
            Code::DifferentWeights,
            Side::Both,
            format!("the reference's weights are {x}, the candidate's {y}"),
            "some disagreement is certain; the limit of the coarser type is used",
        );
    } else if let Some((x, y)) = different(&a.sha256, &b.sha256) {
        let short = |sha: &str| sha.chars().take(12).collect::<String>();
        findings.add_with_help(
            Code::DifferentModelFiles,
            Side::Both,
            format!(
                "the model files differ: SHA-256 {}… and {}…",
                short(x),
                short(y)
            ),
            "load the same file in both engines",
        );
    }
}

fn different<'a>(a: &'a Option<String>, b: &'a Option<String>) -> Option<(&'a str, &'a str)> {
    let (a, b) = (a.as_deref()?, b.as_deref()?);
    (!a.eq_ignore_ascii_case(b)).then_some((a, b))
}
