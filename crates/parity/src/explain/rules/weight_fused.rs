//! P024.

use crate::align::Stage;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;

/// A fused projection cut wrongly.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P024",
        name: "fused projection cut wrongly",
        detects: "One matrix makes queries, keys and values (or gate and up). Its result is cut in another way than the checkpoint wants: head \
                  by head or group by group (q k v, q k v, …) instead of in whole parts, in another order, or interleaved.",
        evidence: "The candidate's part equals another cut of all parts together, as the model file or the reference gives them.",
        confirm: "Print the first elements of each part beside those of the whole product.",
        fix: "GPT-2 and Phi-3 have whole parts; GPT-NeoX, Falcon and Megatron weave them by head or group; gpt-oss interleaves gate and up.",
        reports: &[
            "vllm-project/vllm#42803",
            "NVIDIA-NeMo/RL#2802",
            "vllm-project/llm-compressor#3100",
        ],
    },
    kinds: &[Kind::Linear],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    // A model whose file has the parts apart has nothing to cut.
    let fused = scene.is_fused();
    if fused == Some(false) {
        return Vec::new();
    }
    match scene.site.stage() {
        Some(stage @ (Stage::Q | Stage::K | Stage::V)) => attention(scene, stage),
        Some(stage @ (Stage::FfnGate | Stage::FfnUp)) => gated(scene, stage),
        _ => None,
    }
    .unwrap_or_default()
    .into_iter()
    // That there is one matrix is then part of the hypothesis.
    .map(|fit| fit.free(usize::from(fused.is_none())))
    .collect()
}

fn joined(parts: &[&Dense], token: usize) -> Vec<f64> {
    parts
        .iter()
        .flat_map(|part| part.row(token).iter().copied())
        .collect()
}

fn attention(scene: &Scene<'_>, stage: Stage) -> Option<Vec<Fit>> {
    let part = |stage| scene.stage(Side::Reference, stage);
    let (q, k, v) = (part(Stage::Q)?, part(Stage::K)?, part(Stage::V)?);
    let ([_, heads, lanes], [_, groups, _]) = (&q.shape[..], &k.shape[..]) else {
        return None;
    };
    let (heads, lanes, groups) = (*heads, *lanes, *groups);
    let each = heads / groups.max(1);
    let own = [Stage::Q, Stage::K, Stage::V]
        .iter()
        .position(|one| *one == stage)?;
    let width = scene.candidate.row_len();
    let all = |parts: [&Dense; 3]| -> Vec<Vec<f64>> {
        (0..q.n_rows()).map(|token| joined(&parts, token)).collect()
    };
    let whole = all([&q, &k, &v]);
    let make = |pick: &dyn Fn(usize) -> usize| Dense {
        shape: scene.candidate.shape.clone(),
        data: whole
            .iter()
            .flat_map(|row| (0..width).map(|at| row[pick(at)]))
            .collect(),
    };
    let (query, key) = (heads * lanes, groups * lanes);
    let mut fits = Vec::new();
    let by_group = |at: usize| {
        let (per, start) = match own {
            0 => (each * lanes, 0),
            1 => (lanes, each * lanes),
            _ => (lanes, (each + 1) * lanes),
        };
        at / per * (each + 2) * lanes + start + at % per
    };
    let name = if each == 1 {
        "head by head (q k v, q k v, …)"
    } else {
        "group by group"
    };
    let claim = format!("the fused projection is cut {name} instead of into three whole parts");
    fits.push(scene.fit(&make(&by_group), Basis::Reference, claim));
    // The other way round: the reference weaves and the candidate takes whole parts.
    let starts = [0, query, query + key];
    let unwoven = |at: usize| {
        let index = starts[own] + at;
        let (block, inner) = (index / ((each + 2) * lanes), index % ((each + 2) * lanes));
        if inner < each * lanes {
            block * each * lanes + inner
        } else if inner < (each + 1) * lanes {
            query + block * lanes + inner - each * lanes
        } else {
            query + key + block * lanes + inner - (each + 1) * lanes
        }
    };
    let claim =
        "the fused projection is cut into three whole parts where the checkpoint weaves them";
    fits.push(scene.fit(&make(&unwoven), Basis::Reference, claim));
    for (order, name) in [
        ([0, 2, 1], "q, v, k"),
        ([1, 0, 2], "k, q, v"),
        ([1, 2, 0], "k, v, q"),
        ([2, 0, 1], "v, q, k"),
        ([2, 1, 0], "v, k, q"),
    ] {
        // What is taken for part `own` begins after all parts that the wrong order puts before it.
        let widths = [query, key, key];
        let before: usize = order
            .iter()
            .take_while(|part| **part != own)
            .map(|part| widths[*part])
            .sum();
        if before == starts[own] {
            continue;
        }
        let claim = format!(
            "the parts of the fused projection are taken in the order {name} instead of q, k, v"
        );
        fits.push(scene.fit(&make(&|at| before + at), Basis::Reference, claim));
    }
    Some(fits)
}

fn gated(scene: &Scene<'_>, stage: Stage) -> Option<Vec<Fit>> {
    let (gate, up) = (
        scene.stage(Side::Reference, Stage::FfnGate)?,
        scene.stage(Side::Reference, Stage::FfnUp)?,
    );
    let width = scene.candidate.row_len();
    let second = usize::from(stage == Stage::FfnUp);
    let whole: Vec<Vec<f64>> = (0..gate.n_rows())
        .map(|token| joined(&[&gate, &up], token))
        .collect();
    let make = |pick: &dyn Fn(usize) -> usize| Dense {
        shape: scene.candidate.shape.clone(),
        data: whole
            .iter()
            .flat_map(|row| (0..width).map(|at| row[pick(at)]))
            .collect(),
    };
    let interleaved = make(&|at| 2 * at + second);
    let halves = make(&|at| {
        let index = second * width + at;
        index % 2 * width + index / 2
    });
    Some(vec![
        scene.fit(
            &interleaved,
            Basis::Reference,
            "gate and up are taken as alternating columns where they are halves",
        ),
        scene.fit(
            &halves,
            Basis::Reference,
            "gate and up are taken as halves where they are alternating columns",
        ),
    ])
}
