//! A record as a tensor whose first axis are the tokens.

use super::undone::Undone;
use super::view::View;
use crate::align::Share;
use crate::tensor::{format_shape, without_token_axis};
use orch_log::format::Record;

/// One way to read a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Tokens first, then all other axes longer than 1.
    pub view: View,
    /// What had to be undone for that.
    pub undone: Vec<Undone>,
}

/// Reads the rows of a record that take part in a pair.
///
/// # Errors
///
/// Why the record's shape, number of tokens and map contradict each other.
pub fn tokens_first(record: &Record, share: &Share) -> Result<Read, String> {
    let dims = &record.shape;
    let mut undone = Vec::new();
    let view = match (&share.reading.axes, token_axis(record)?) {
        (Some(axes), _) if record.n_tokens > 1 || dims.len() >= axes.canonical_order().len() => {
            let order = axes.canonical_order();
            let batch = dims.len().checked_sub(order.len()).filter(|batch| {
                // Dimensions of length 1 in front are a batch of one.
                dims[..*batch].iter().all(|dim| *dim == 1)
            });
            let Some(batch) = batch else {
                return Err(format!(
                    "the map gives it {} axes, its shape is {}",
                    order.len(),
                    format_shape(dims)
                ));
            };
            if !order.iter().enumerate().all(|(to, from)| to == *from) {
                undone.push(Undone::AxesSwapped);
            }
            let order: Vec<usize> = order.iter().map(|axis| axis + batch).collect();
            View::of(dims).permuted(&order)
        }
        (_, TokenAxis::At(axis, found)) => {
            if found {
                undone.push(Undone::TokenAxisFound);
            }
            let order: Vec<usize> = [axis]
                .into_iter()
                .chain((0..dims.len()).filter(|other| *other != axis))
                .collect();
            if dims[..axis].iter().any(|dim| *dim != 1) && dims[axis] > 1 {
                undone.push(Undone::AxesSwapped);
            }
            View::of(dims).permuted(&order)
        }
        (_, TokenAxis::None) => View::of(without_token_axis(dims)).with_first_axis(),
    };
    let rows = share.rows.start as usize..share.rows.end as usize;
    if rows.end > view.dims()[0] {
        return Err(format!(
            "row {} is wanted, its shape {} has {}",
            rows.end - 1,
            format_shape(dims),
            view.dims()[0]
        ));
    }
    // A single key is an axis like several are.
    let name = &record.checkpoint;
    let has_keys = name.ends_with("attn_scores") || name.ends_with("attn_probs");
    Ok(Read {
        view: view.sliced(0, rows).squeezed(has_keys),
        undone,
    })
}

enum TokenAxis {
    /// A single token without an axis.
    None,
    /// This axis; found by its length where the record does not say.
    At(usize, bool),
}

fn token_axis(record: &Record) -> Result<TokenAxis, String> {
    let (n, dims) = (record.n_tokens, &record.shape);
    if dims.get(record.token_axis) == Some(&n) && (n > 1 || dims.len() > 1 && record.has_n_tokens) {
        return Ok(TokenAxis::At(record.token_axis, false));
    }
    if n <= 1 {
        return Ok(TokenAxis::None);
    }
    let mut fitting = (0..dims.len()).filter(|axis| dims[*axis] == n);
    match (fitting.next(), fitting.next()) {
        (Some(axis), None) => Ok(TokenAxis::At(axis, true)),
        _ => Err(format!(
            "{n} tokens, but axis {} of its shape {} does not have that length",
            record.token_axis,
            format_shape(dims)
        )),
    }
}
