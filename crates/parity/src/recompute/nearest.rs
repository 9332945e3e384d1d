//! Which arithmetic an engine computed with.

use super::deviation::Deviation;
use super::local::LocalError;
use super::weights::Arithmetic;
use std::ops::Range;

/// The rows of each pass, whose number of tokens decides which kernel a GPU computes with; all rows where none does.
pub(super) fn passes_of(pass_first: &[i64], on_gpu: bool) -> Vec<Range<usize>> {
    let mut passes: Vec<Range<usize>> = Vec::new();
    for row in 0..pass_first.len() {
        match passes.last_mut() {
            Some(pass) if !on_gpu || pass_first[pass.start] == pass_first[row] => {
                pass.end = row + 1;
            }
            _ => passes.push(row..row + 1),
        }
    }
    passes
}

/// The nearest of several arithmetics, pass by pass.
pub(super) struct Nearest {
    /// All rows, by each.
    pub(super) whole: Vec<(Deviation, Arithmetic)>,
    /// Each pass by the one that is nearest to it.
    pub(super) passes: Vec<(Deviation, Arithmetic)>,
    pub(super) inputs: Vec<String>,
    pub(super) through: Vec<String>,
}

impl Nearest {
    pub(super) fn or(mut self, other: Self) -> Self {
        let is_nearer = other.worst().relative < self.worst().relative;
        self.whole.extend(other.whole);
        for (mine, theirs) in self.passes.iter_mut().zip(other.passes) {
            if theirs.0.relative < mine.0.relative {
                *mine = theirs;
            }
        }
        if is_nearer {
            (self.inputs, self.through) = (other.inputs, other.through);
        }
        self
    }

    /// The deviation of the pass that is furthest off.
    pub(super) fn worst(&self) -> Deviation {
        self.furthest().0
    }

    fn furthest(&self) -> (Deviation, Arithmetic) {
        let by_distance = |a: &&(Deviation, Arithmetic), b: &&(Deviation, Arithmetic)| {
            a.0.relative.total_cmp(&b.0.relative)
        };
        let furthest = self.passes.iter().rev().max_by(by_distance);
        *furthest.unwrap_or(&self.whole[0])
    }

    pub(super) fn finished(self) -> LocalError {
        let (worst, arithmetic) = self.furthest();
        let mut by_rows = self.passes.iter().map(|(deviation, _)| deviation);
        let energy = |one: &Deviation| one.overall.powi(2) * one.rows as f64;
        let rows: usize = by_rows.clone().map(|one| one.rows).sum();
        let overall = (by_rows.clone().map(energy).sum::<f64>() / rows.max(1) as f64).sqrt();
        let deviation = match self.passes.len() {
            1 => by_rows.next().copied().unwrap_or(worst),
            _ => Deviation {
                overall,
                rows,
                ..worst
            },
        };
        let by = |wanted: Arithmetic| {
            let found = self
                .whole
                .iter()
                .find(|(_, arithmetic)| *arithmetic == wanted);
            found.map(|(deviation, _)| *deviation)
        };
        LocalError {
            deviation,
            arithmetic,
            f64: by(Arithmetic::F64),
            engine: by(Arithmetic::Engine),
            inputs: self.inputs,
            through: self.through,
        }
    }
}
