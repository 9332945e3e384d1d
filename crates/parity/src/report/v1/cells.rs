//! Every compared pair in a few numbers, for timelines and heat maps; filled on request only.

use crate::report::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line for each compared pair, column by column, so that it stays small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cells {
    /// Index into `checkpoints` of the report.
    pub checkpoint: Vec<u32>,
    /// Position of the first token.
    pub token_idx: Vec<i64>,
    /// Token positions that were compared.
    pub n_tokens: Vec<u32>,
    /// Forward pass, 0 = prefill.
    pub step: Vec<Option<u32>>,
    /// Sequence in a batch.
    pub seq: Vec<u32>,
    /// Squared error over squared magnitude of the reference.
    pub nmse: Vec<Number>,
    /// The largest absolute difference known.
    pub max_abs_diff: Vec<Option<Number>>,
    /// Relative RMSE that is still noise for this pair: what the errors of its inputs and its operation's own rounding
    /// explain, or its limit; absent with `bands`.
    pub floor: Vec<Option<Number>>,
    /// Whether the limit is exceeded.
    pub above_limit: Vec<bool>,
    /// Compared pairs without a line here.
    pub left_out: u64,
    /// How many pairs of neighbouring positions one line stands for, the worst of them; 1 where each has its own.
    pub positions_a_line: u64,
}

impl Cells {
    /// Lines.
    pub fn len(&self) -> usize {
        self.nmse.len()
    }

    /// True where no pair has a line.
    pub fn is_empty(&self) -> bool {
        self.nmse.is_empty()
    }

    /// The same with four significant digits: what a chart can show, in a third of the characters.
    pub fn shortened(&self) -> Self {
        let short = |number: Number| {
            let written = format!("{:.3e}", number.0);
            // What is no number, or infinite, is written as it is read.
            Number(written.parse().unwrap_or(number.0))
        };
        let optional = |numbers: &[Option<Number>]| {
            let short = numbers.iter().map(|number| number.map(short));
            short.collect()
        };
        Self {
            nmse: self.nmse.iter().copied().map(short).collect(),
            max_abs_diff: optional(&self.max_abs_diff),
            floor: optional(&self.floor),
            ..self.clone()
        }
    }

    /// At most `most` lines: neighbouring positions of a checkpoint share one, that of the worst of them.
    pub fn down_sampled(&self, most: usize) -> Self {
        let mut by_checkpoint: std::collections::BTreeMap<(u32, u32), Vec<usize>> =
            std::collections::BTreeMap::new();
        for line in 0..self.len() {
            let key = (self.checkpoint[line], self.seq[line]);
            by_checkpoint.entry(key).or_default().push(line);
        }
        let lines = |run: usize| -> usize {
            by_checkpoint
                .values()
                .map(|own| own.len().div_ceil(run))
                .sum()
        };
        let mut run = 1;
        while lines(run) > most && lines(run) > by_checkpoint.len() {
            run += 1;
        }
        if run == 1 {
            return self.clone();
        }
        let mut kept: Vec<usize> = by_checkpoint
            .values_mut()
            .flat_map(|own| {
                own.sort_by_key(|line| self.token_idx[*line]);
                own.chunks(run).filter_map(|chunk| {
                    chunk
                        .iter()
                        .copied()
                        .max_by(|a, b| self.nmse[*a].0.total_cmp(&self.nmse[*b].0))
                })
            })
            .collect();
        kept.sort_unstable();
        let mut out = Self {
            left_out: self.left_out,
            positions_a_line: self.positions_a_line.max(1) * run as u64,
            ..Self::default()
        };
        for line in kept {
            out.push_from(self, line);
        }
        out
    }

    fn push_from(&mut self, other: &Self, line: usize) {
        self.checkpoint.push(other.checkpoint[line]);
        self.token_idx.push(other.token_idx[line]);
        self.n_tokens.push(other.n_tokens[line]);
        self.step.push(other.step[line]);
        self.seq.push(other.seq[line]);
        self.nmse.push(other.nmse[line]);
        self.max_abs_diff.push(other.max_abs_diff[line]);
        self.floor.push(other.floor[line]);
        self.above_limit.push(other.above_limit[line]);
    }
}

/// Which checkpoint is computed from which, as far as both were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// The input: an index into `checkpoints` of the report.
    pub from: u32,
    /// What is computed from it: an index likewise.
    pub to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_for_its_neighbours() {
        let mut cells = Cells {
            positions_a_line: 1,
            ..Cells::default()
        };
        for (checkpoint, position) in (0..2).flat_map(|name| (0..5).map(move |at| (name, at))) {
            cells.checkpoint.push(checkpoint);
            cells.token_idx.push(position);
            cells.n_tokens.push(1);
            cells.step.push(None);
            cells.seq.push(0);
            cells
                .nmse
                .push(Number(if position == 3 { 1.0 } else { 0.25 }));
            cells.max_abs_diff.push(None);
            cells.floor.push(None);
            cells.above_limit.push(false);
        }
        assert_eq!(cells.down_sampled(10), cells);
        let mut long = cells.clone();
        long.nmse[0] = Number(1.234_56e-7);
        long.nmse[1] = Number(f64::NAN);
        long.floor[0] = Some(Number(f64::INFINITY));
        let short = long.shortened();
        assert_eq!(short.nmse[0], Number(1.235e-7));
        assert!(short.nmse[1].0.is_nan());
        assert_eq!(short.floor[0], Some(Number(f64::INFINITY)));
        assert_eq!(short.token_idx, cells.token_idx);
        let fewer = cells.down_sampled(4);
        // Runs of three positions: 0 to 2, 3 and 4.
        assert_eq!(fewer.positions_a_line, 3);
        assert_eq!(fewer.len(), 4);
        assert_eq!([fewer.token_idx[1], fewer.token_idx[3]], [3, 3]);
        assert_eq!(fewer.nmse[1], Number(1.0));
        // Never fewer than one a checkpoint.
        assert_eq!(cells.down_sampled(1).len(), 2);
    }
}
