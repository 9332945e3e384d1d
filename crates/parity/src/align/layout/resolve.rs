//! Two records brought to one shape.

use super::reading::{Read, tokens_first};
use super::undone::Undone;
use super::view::View;
use crate::align::maps::{Part, PartKind};
use crate::align::{Pair, Share};
use crate::tensor::element_count;
use orch_log::format::Record;

/// One way to compare two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The views of reference and candidate: one shape, tokens first.
    pub views: [View; 2],
    /// What is undone by them.
    pub undone: Vec<Undone>,
}

/// The ways in which two records can be compared: none where their shapes have nothing to do with each other, several
/// where shapes alone do not tell and the numbers have to.
///
/// # Errors
///
/// Why one of the records cannot be read at all.
pub fn resolve(pair: &Pair) -> Result<Vec<Alternative>, String> {
    let read = |record: &Record, share: &Share, side: &str| {
        tokens_first(record, share).map_err(|reason| format!("{side}: {reason}"))
    };
    let [share_a, share_b] = &pair.shares;
    let (record_a, record_b) = (&pair.reference.record, &pair.candidate.record);
    let a = read(record_a, share_a, "reference")?;
    let b = read(record_b, share_b, "candidate");
    let mut alternatives = Vec::new();
    if let Ok(b) = &b {
        alternatives = between(&a, b, pair);
    }
    // Shapes that fit as they are labelled leave nothing to ask the numbers.
    let doubtful = |what: &Undone| matches!(what, Undone::AxesSwapped | Undone::TokenAxisFound);
    let fits = alternatives.len() == 1 && !alternatives[0].undone.iter().any(doubtful);
    // A label in the opposite order is another reading of the same bytes, not a transposition.
    for (reversed_side, record, share) in [(0, record_a, share_a), (1, record_b, share_b)] {
        let reversed = reversed(record);
        if fits || reversed.shape == record.shape || share.reading.axes.is_some() {
            continue;
        }
        let Ok(read) = tokens_first(&reversed, share) else {
            continue;
        };
        let views = match (reversed_side, &b) {
            (0, Ok(b)) => [read.view, b.view.clone()],
            (1, _) => [a.view.clone(), read.view],
            _ => continue,
        };
        if views[0].dims() == views[1].dims() && views[0].dims().len() > 1 {
            let known = |alternative: &Alternative| {
                alternative.views[0].reads_as(&views[0]) && alternative.views[1].reads_as(&views[1])
            };
            if !alternatives.iter().any(known) {
                let undone = vec![Undone::ShapeReversed];
                alternatives.push(Alternative { views, undone });
            }
        }
    }
    if alternatives.is_empty() {
        b?;
    }
    for alternative in &mut alternatives {
        if record_a.n_tokens != record_b.n_tokens {
            alternative.undone.push(Undone::BatchRows);
        }
        alternative.undone.sort();
        alternative.undone.dedup();
    }
    Ok(alternatives)
}

fn reversed(record: &Record) -> Record {
    let mut reversed = Record::default();
    reversed.checkpoint = record.checkpoint.clone();
    reversed.shape = record.shape.iter().rev().copied().collect();
    reversed.n_tokens = record.n_tokens;
    reversed.has_n_tokens = record.has_n_tokens;
    reversed.token_axis = record.token_axis;
    reversed
}

/// The ways to bring two views of equally many tokens to one shape.
fn between(a: &Read, b: &Read, pair: &Pair) -> Vec<Alternative> {
    let mut undone = [a.undone.clone(), b.undone.clone()].concat();
    let parts = [pair.shares[0].reading.part, pair.shares[1].reading.part];
    let (mut view_a, mut view_b) = (a.view.clone(), b.view.clone());
    match parts {
        [None, None] => {}
        [Some(x), Some(y)] if x == y && rest_len(&view_a) == rest_len(&view_b) => {
            // Nobody says how wide the parts are, and nobody has to.
            undone.push(Undone::FusedOnBothSides);
        }
        [one, other] => {
            undone.push(Undone::Fused);
            let widths = [rest_len(&view_a), rest_len(&view_b)];
            for (view, part, width) in [
                (&mut view_a, one, widths[1]),
                (&mut view_b, other, widths[0]),
            ] {
                if let Some(part) = part {
                    match part_of(view, part, width) {
                        Some(sliced) => *view = sliced,
                        None => return Vec::new(),
                    }
                }
            }
        }
    }
    cut_padding(&mut view_a, &mut view_b, pair, &mut undone);
    same_shape(view_a, view_b, undone)
}

/// Elements of one token.
fn rest_len(view: &View) -> usize {
    view.dims()[1..].iter().product()
}

/// One of several tensors that lie side by side in each row, told by the width that the partner has.
fn part_of(view: &View, part: Part, width: usize) -> Option<View> {
    let total = rest_len(view);
    let start = match part.kind {
        PartKind::Equal => (width.checked_mul(part.count)? == total).then(|| part.index * width)?,
        PartKind::Qkv => {
            let start = match part.index {
                0 => {
                    // K and V share what Q leaves, and neither is wider than Q.
                    let rest = total.checked_sub(width)?;
                    (rest % 2 == 0 && rest > 0 && rest / 2 <= width).then_some(0)?
                }
                1 => total.checked_sub(width.checked_mul(2)?)?,
                _ => total.checked_sub(width)?,
            };
            (width * 3 <= total || part.index == 0).then_some(start)?
        }
    };
    Some(view.reshaped(1, &[total])?.sliced(1, start..start + width))
}

/// Cuts logits and keys that only one side has.
fn cut_padding(a: &mut View, b: &mut View, pair: &Pair, undone: &mut Vec<Undone>) {
    let (da, db) = (a.dims().to_vec(), b.dims().to_vec());
    let (Some((last_a, outer_a)), Some((last_b, outer_b))) = (da.split_last(), db.split_last())
    else {
        return;
    };
    let name = &pair.key.checkpoint;
    let shorter = (*last_a).min(*last_b);
    if outer_a != outer_b || last_a == last_b {
        return;
    }
    if name == "logits" {
        // Padding fills a vocabulary up to a round number; a tenth more is another vocabulary.
        if shorter < (*last_a).max(*last_b) / 10 * 9 {
            return;
        }
        undone.push(Undone::PaddedVocabulary);
    } else if name.ends_with("attn_scores") || name.ends_with("attn_probs") {
        let needed = pair.key.token_idx.saturating_add(pair.n_tokens as i64);
        if i64::try_from(shorter).is_ok_and(|shorter| shorter < needed) {
            return;
        }
        undone.push(Undone::PaddedKeys);
    } else {
        return;
    }
    let axis = da.len() - 1;
    *a = a.sliced(axis, 0..shorter);
    *b = b.sliced(axis, 0..shorter);
}

/// Merged heads and swapped axes.
fn same_shape(a: View, b: View, undone: Vec<Undone>) -> Vec<Alternative> {
    let one = |a: View, b: View, more: &[Undone]| Alternative {
        views: [a, b],
        undone: [undone.as_slice(), more].concat(),
    };
    if a.dims() == b.dims() {
        return vec![one(a, b, &[])];
    }
    if element_count(a.dims()) != element_count(b.dims()) {
        return Vec::new();
    }
    let (rest_a, rest_b) = (a.dims()[1..].to_vec(), b.dims()[1..].to_vec());
    if is_merged(&rest_a, &rest_b) {
        let split = b.reshaped(1, &rest_a);
        return split
            .map(|b| one(a, b, &[Undone::HeadsMerged]))
            .into_iter()
            .collect();
    }
    if is_merged(&rest_b, &rest_a) {
        let split = a.reshaped(1, &rest_b);
        return split
            .map(|a| one(a, b, &[Undone::HeadsMerged]))
            .into_iter()
            .collect();
    }
    orders(rest_a.len())
        .into_iter()
        .map(|order| {
            let order: Vec<usize> = [0]
                .into_iter()
                .chain(order.iter().map(|axis| axis + 1))
                .collect();
            b.permuted(&order)
        })
        .filter(|permuted| permuted.dims() == a.dims())
        .map(|permuted| one(a.clone(), permuted, &[Undone::AxesSwapped]))
        .collect()
}

/// True where `merged` is `split` with neighbouring axes multiplied together.
fn is_merged(split: &[usize], merged: &[usize]) -> bool {
    let mut axes = split.iter();
    merged.len() < split.len()
        && merged.iter().all(|wanted| {
            let mut product = 1_usize;
            while product < *wanted {
                let Some(dim) = axes.next() else { return false };
                product = product.saturating_mul(*dim);
            }
            product == *wanted
        })
        && axes.next().is_none()
}

/// All orders of up to three axes; tensors with more do not occur, and every order would be a guess.
fn orders(n: usize) -> Vec<Vec<usize>> {
    match n {
        2 => vec![vec![1, 0]],
        3 => vec![
            vec![0, 2, 1],
            vec![1, 0, 2],
            vec![1, 2, 0],
            vec![2, 0, 1],
            vec![2, 1, 0],
        ],
        _ => Vec::new(),
    }
}

/// Both views with the candidate's lanes in the order of the other kind of rotation: halves to neighbours, and neighbours
/// to halves.
///
/// # Source
///
/// llama.cpp's `convert_hf_to_gguf.py` reorders the rows of Q and K of `llama` models from lane pairs (j, j + d/2) to
/// (2j, 2j + 1).
pub fn interleaved([reference, candidate]: &[View; 2]) -> Vec<[View; 2]> {
    let dims = candidate.dims();
    let Some(lanes) = dims
        .last()
        .filter(|lanes| dims.len() > 2 && lanes.is_multiple_of(2) && **lanes > 2)
    else {
        return Vec::new();
    };
    let axis = dims.len() - 1;
    let (outer, half) = (&dims[1..axis], lanes / 2);
    let swapped = |[outside, inside]: [usize; 2]| {
        let pairs = candidate.reshaped(1, &[outer, &[outside, inside]].concat())?;
        let mut order: Vec<usize> = (0..=axis + 1).collect();
        order.swap(axis, axis + 1);
        // Row-major, the reference's lanes are the same index whether they are one axis or two.
        let reference = reference.reshaped(1, &[outer, &[inside, outside]].concat())?;
        Some([reference, pairs.permuted(&order)])
    };
    [swapped([2, half]), swapped([half, 2])]
        .into_iter()
        .flatten()
        .collect()
}
