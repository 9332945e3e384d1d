//! P055.

use crate::explain::numbers::list;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;
use std::rc::Rc;

/// Rows of the cache from other places.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P055",
        name: "rows of the cache from other places",
        detects: "Some positions read the keys (or values) of other positions: written one place early or always at the place with which a \
                  graph was captured, read through a stale page table, pages exchanged, a row repeated. Or they were never written and are zero.",
        evidence: "For every position the row that its scores (or the context) follow from, found among all rows of the candidate's \
                   own trace.",
        confirm: "Dump the cache after the step and compare it row by row with the logged keys.",
        fix: "Check the slot that a new token is written to, the page table's update, and the length that readers use.",
        reports: &[
            "kekzl/imp#538",
            "tanishqkumar/ssd#23",
            "tenstorrent/tt-metal#54413",
            "pegainfer-project/pegainfer#350",
            "vllm-project/vllm#52109",
        ],
    },
    kinds: &[Kind::Scores, Kind::Context],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    match scene.kind() {
        Kind::Scores => keys(scene),
        _ => values(scene),
    }
    .into_iter()
    .collect()
}

/// What a position reads instead of its own row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Own,
    Row(usize),
    Zero,
    Unknown,
}

/// How well a column must follow from a row to be read from it.
const FOLLOWS: f64 = 1e-4;

fn keys(scene: &Scene<'_>) -> Option<Fit> {
    let attention = scene.attention()?;
    let expected = attention.scaled();
    let [tokens, heads, kv] = expected.shape[..] else {
        return None;
    };
    let first = attention.first;
    // The scores of one key in all rows and heads that may see it, with the expected scores of another.
    let column = |data: &[f64], key: usize, seen_from: usize| -> Vec<f64> {
        let rows = (0..tokens).filter(|row| first + *row as i64 >= seen_from as i64);
        rows.flat_map(|row| (0..heads).map(move |head| (row * heads + head) * kv + key))
            .map(|index| data[index])
            .collect()
    };
    let magnitude = root_mean_square(&expected.data);
    let sources: Vec<Source> = (0..kv)
        .map(|key| {
            let found = column(&scene.candidate.data, key, key);
            if found.iter().all(|x| *x == 0.0) {
                return Source::Zero;
            }
            let distance = |other: usize| {
                let theirs = column(&expected.data, other, key);
                let error: Vec<f64> = found.iter().zip(&theirs).map(|(a, b)| a - b).collect();
                root_mean_square(&error) / magnitude
            };
            if distance(key) < FOLLOWS {
                return Source::Own;
            }
            let nearest = (0..kv).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            nearest
                .filter(|other| distance(*other) < FOLLOWS)
                .map_or(Source::Unknown, Source::Row)
        })
        .collect();
    if sources.contains(&Source::Unknown) || sources.iter().all(|source| *source == Source::Own) {
        return None;
    }
    let moved: Vec<usize> = sources
        .iter()
        .enumerate()
        .map(|(key, source)| {
            if let Source::Row(row) = source {
                *row
            } else {
                key
            }
        })
        .collect();
    let mut changed = attention.clone();
    let mut cached = rows_of(&attention.keys, &moved);
    zeroed(&mut cached, &sources);
    changed.keys = Rc::new(cached);
    let made = changed.scaled();
    if let Some(captured) = frozen_slot(scene, &sources) {
        let claim = format!(
            "every pass writes its keys at position {captured}, where the first one after the prompt did, as where a captured graph keeps \
             the place; those after it are never written"
        );
        return Some(scene.fit(&made, Basis::Inputs, claim));
    }
    let count = sources
        .iter()
        .filter(|source| **source != Source::Own)
        .count();
    Some(
        scene
            .fit(&made, Basis::Inputs, claim("keys", &sources, scene))
            .free(count),
    )
}

/// The place of the first decoded token, where the newest one's row is all that there is from there on.
fn frozen_slot(scene: &Scene<'_>, sources: &[Source]) -> Option<i64> {
    let captured = scene.captured()?;
    let newest = Source::Row(sources.len() - 1);
    let expected = (0..sources.len()).map(|at| match at.cmp(&usize::try_from(captured).ok()?) {
        std::cmp::Ordering::Less => Some(Source::Own),
        std::cmp::Ordering::Equal => Some(newest),
        std::cmp::Ordering::Greater => Some(Source::Zero),
    });
    let is_so = sources.iter().map(|source| Some(*source)).eq(expected);
    is_so.then_some(captured)
}

fn values(scene: &Scene<'_>) -> Option<Fit> {
    let attention = scene.attention()?;
    let probs = attention.probs.as_ref()?;
    let values = attention.values.as_ref()?;
    let ([tokens, heads, kv], [_, key_heads, lanes]) = (&probs.shape[..], &values.shape[..]) else {
        return None;
    };
    let (tokens, heads, kv, key_heads, lanes) = (*tokens, *heads, *kv, *key_heads, *lanes);
    // context = probabilities · V' for an unknown V': row by row, each row of the prompt sees one more position.
    let zero_own = || -> Option<Fit> {
        let mut sources = vec![Source::Own; kv];
        for source in &mut sources[attention.first.max(0) as usize..] {
            *source = Source::Zero;
        }
        let mut cached = values.as_ref().clone();
        zeroed(&mut cached, &sources);
        let mut changed = attention.clone();
        changed.values = Some(Rc::new(cached));
        let made = changed.predict(Kind::Context)?;
        Some(scene.fit(&made, Basis::Inputs, claim("values", &sources, scene)))
    };
    if attention.first > 0
        && let Some(fit) = zero_own()
        && fit.residual < FOLLOWS
    {
        return Some(fit);
    }
    // In a prompt that starts at 0 the values solve from the first row on.
    if attention.first != 0 || tokens != kv {
        return None;
    }
    let mut solved = Dense::zeros(values.shape.clone());
    for position in 0..kv {
        for key_head in 0..key_heads {
            let head = attention.key_head.iter().position(|key| *key == key_head)?;
            let weights = &probs.data[(position * heads + head) * kv..][..kv];
            for lane in 0..lanes {
                let so_far: f64 = (0..position)
                    .map(|other| {
                        weights[other] * solved.data[(other * key_heads + key_head) * lanes + lane]
                    })
                    .sum();
                let context = scene.candidate.data[(position * heads + head) * lanes + lane];
                solved.data[(position * key_heads + key_head) * lanes + lane] =
                    (context - so_far) / weights[position];
            }
        }
    }
    let row = |x: &Dense, at: usize| x.data[at * key_heads * lanes..][..key_heads * lanes].to_vec();
    let magnitude = root_mean_square(&values.data);
    let sources: Vec<Source> = (0..kv)
        .map(|position| {
            let found = row(&solved, position);
            let distance = |theirs: &[f64]| {
                let error: Vec<f64> = found.iter().zip(theirs).map(|(a, b)| a - b).collect();
                root_mean_square(&error) / magnitude
            };
            // Each division by a small probability multiplies the rounding of all rows before.
            let near = 1e-2;
            if distance(&row(values, position)) < near {
                Source::Own
            } else if root_mean_square(&found) / magnitude < near {
                Source::Zero
            } else {
                let nearest = (0..kv).find(|other| distance(&row(values, *other)) < near);
                nearest.map_or(Source::Unknown, Source::Row)
            }
        })
        .collect();
    if sources.contains(&Source::Unknown) || sources.iter().all(|source| *source == Source::Own) {
        return None;
    }
    let moved: Vec<usize> = sources
        .iter()
        .enumerate()
        .map(|(key, source)| {
            if let Source::Row(row) = source {
                *row
            } else {
                key
            }
        })
        .collect();
    let mut cached = rows_of(values, &moved);
    zeroed(&mut cached, &sources);
    let mut changed = attention.clone();
    changed.values = Some(Rc::new(cached));
    let made = changed.predict(Kind::Context)?;
    let count = sources
        .iter()
        .filter(|source| **source != Source::Own)
        .count();
    Some(
        scene
            .fit(&made, Basis::Inputs, claim("values", &sources, scene))
            .free(count),
    )
}

fn rows_of(x: &Dense, rows: &[usize]) -> Dense {
    let len = x.row_len();
    Dense {
        shape: x.shape.clone(),
        data: rows
            .iter()
            .flat_map(|row| x.data[row * len..][..len].iter().copied())
            .collect(),
    }
}

fn zeroed(x: &mut Dense, sources: &[Source]) {
    let len = x.row_len();
    for (row, source) in x.data.chunks_mut(len).zip(sources) {
        if *source == Source::Zero {
            row.fill(0.0);
        }
    }
}

fn root_mean_square(x: &[f64]) -> f64 {
    (x.iter().map(|x| x * x).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

fn claim(what: &str, sources: &[Source], scene: &Scene<'_>) -> String {
    let zero: Vec<i64> = (0..sources.len())
        .filter(|at| sources[*at] == Source::Zero)
        .map(|at| at as i64)
        .collect();
    let moved: Vec<(usize, usize)> = sources
        .iter()
        .enumerate()
        .filter_map(|(at, source)| {
            if let Source::Row(row) = source {
                Some((at, *row))
            } else {
                None
            }
        })
        .collect();
    let mut parts = Vec::new();
    if !zero.is_empty() {
        let own = zero == scene.tokens.clone().collect::<Vec<_>>();
        let tail = zero.first().is_some_and(|first| *first > 0)
            && zero.len() > 1
            && zero.windows(2).all(|pair| pair[1] == pair[0] + 1)
            && zero.last() == Some(&(sources.len() as i64 - 1));
        let step = zero
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect::<Vec<_>>();
        let why = if own && scene.is_later_pass() {
            "the pass's own row was not written to the cache"
        } else if tail {
            "everything from there on, as where offsets overflow or a length is cut"
        } else if zero.len() > 2 && step.windows(2).all(|pair| pair[0] == pair[1]) {
            "every so many rows of the cache were left unwritten"
        } else {
            "rows of the cache that were not written"
        };
        parts.push(format!(
            "the {what} of position {} are zero: {why}",
            list(&zero)
        ));
    }
    if let [(at, from)] = moved[..] {
        parts.push(format!("position {at} reads the {what} of position {from}"));
    } else if !moved.is_empty() {
        let exchanged = moved.iter().all(|(at, from)| moved.contains(&(*from, *at)));
        let names: Vec<String> = moved
            .iter()
            .take(6)
            .map(|(at, from)| format!("{at} ← {from}"))
            .collect();
        let how = if exchanged {
            ", exchanged: a stale page table"
        } else {
            ""
        };
        parts.push(format!(
            "positions read the {what} of others ({}){how}",
            names.join(", ")
        ));
    }
    parts.join("; ")
}
