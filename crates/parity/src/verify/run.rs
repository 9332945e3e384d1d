//! Recomputes every operation of a trace.

use super::coarse::{Coarse, allow};
use super::limit::{limit, not_emulated, of_tf32};
use crate::error::Error;
use crate::judge::exit_code;
use crate::recompute::{
    Arithmetic, Failure, Kind, LocalError, Missing, Operation, Unknown, Weights, local_error,
    operation,
};
use crate::report::v1::{SCHEMA_VERSION, UnverifiedOperation, Verification, VerifiedOperation};
use crate::trace::{Batch, Index};
use orch_log::Filter;
use std::collections::HashMap;

/// What is verified.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checkpoints.
    pub filter: Filter,
    /// Largest relative RMSE that follows, instead of the one of the operation.
    pub limit: Option<f64>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'n> {
    /// Checkpoints that are done.
    pub done: usize,
    /// All of them.
    pub total: usize,
    /// The one that comes next.
    pub next: &'n str,
}

/// Recomputes every operation of a trace from its logged inputs.
///
/// # Errors
///
/// When the trace or the model cannot be read. What cannot be recomputed for another reason is listed in the result.
pub fn verify(
    index: &Index<'_>,
    weights: &dyn Weights,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Verification, Error> {
    let names: Vec<&str> = index
        .names()
        .filter(|name| options.filter.passes(name))
        .collect();
    let mut preferred: HashMap<String, Arithmetic> = HashMap::new();
    let (mut operations, mut unverified, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut coarse = Vec::new();
    for (done, name) in names.iter().enumerate() {
        progress(Progress {
            done,
            total: names.len(),
            next: name,
        });
        let Some(operation) = operation(weights.hparams(), name) else {
            if *name != "tokens" {
                unknown.push((*name).to_owned());
            }
            continue;
        };
        let mut this = One {
            index,
            weights,
            options,
            preferred: &mut preferred,
            operation: &operation,
            found: None,
            not_emulated: 0.0,
            reasons: Vec::new(),
            missing: Vec::new(),
        };
        this.all()?;
        let class = this.class();
        let One {
            found,
            not_emulated,
            reasons,
            missing,
            ..
        } = this;
        if !reasons.is_empty() {
            unverified.push(UnverifiedOperation {
                checkpoint: (*name).to_owned(),
                reason: reasons.join("; "),
                missing,
            });
        }
        if let Some(found) = found {
            operations.push(found);
            coarse.push(Coarse {
                class,
                limit: not_emulated,
            });
        }
    }
    if options.limit.is_none() {
        allow(&mut operations, &coarse);
    }
    Ok(finished(index, weights, operations, unverified, unknown))
}

fn finished(
    index: &Index<'_>,
    weights: &dyn Weights,
    operations: Vec<VerifiedOperation>,
    unverified: Vec<UnverifiedOperation>,
    unknown: Vec<String>,
) -> Verification {
    let wrong = operations.iter().filter(|found| !found.follows);
    let culprits: Vec<String> = wrong.map(|found| found.checkpoint.clone()).collect();
    let (verdict, exit_code) = if operations.is_empty() {
        ("nothing verified", exit_code::NOT_COMPARABLE)
    } else if !culprits.is_empty() {
        ("does not follow", exit_code::DIVERGED)
    } else {
        ("follows", exit_code::AGREES)
    };
    Verification {
        schema_version: SCHEMA_VERSION,
        parity_version: env!("CARGO_PKG_VERSION").to_owned(),
        trace: index.trace().path().display().to_string(),
        architecture: weights.hparams().architecture().to_owned(),
        verdict: verdict.to_owned(),
        exit_code,
        culprits,
        operations,
        unverified,
        unknown,
        left_out: index.left_out(),
    }
}

/// One operation, over all its rows.
struct One<'a> {
    index: &'a Index<'a>,
    weights: &'a dyn Weights,
    options: &'a Options,
    preferred: &'a mut HashMap<String, Arithmetic>,
    operation: &'a Operation,
    found: Option<VerifiedOperation>,
    /// What it may be off by where its kernel is not emulated.
    not_emulated: f64,
    reasons: Vec<String>,
    missing: Vec<String>,
}

/// Elements of a result that are in memory at once.
const ELEMENTS: usize = 8 << 20;

/// What is near enough not to try the other arithmetic, too.
const NEAR: f64 = 1e-6;

impl One<'_> {
    fn all(&mut self) -> Result<(), Error> {
        let name = self.operation.checkpoint.as_str();
        for seq in self.index.sequences() {
            for batch in self.index.batches(name, seq) {
                let rows = (ELEMENTS / self.row_len(&batch).max(1)).clamp(1, 1 << 16) as i64;
                let mut first = batch.positions.start;
                while first < batch.positions.end {
                    let part = Batch {
                        positions: first..batch.positions.end.min(first.saturating_add(rows)),
                        pass: batch.pass,
                    };
                    first = part.positions.end;
                    self.part(seq, &part)?;
                }
            }
        }
        Ok(())
    }

    /// Elements of a row of the result, as far as they are known before it is read.
    fn row_len(&self, batch: &Batch) -> usize {
        let h = self.weights.hparams();
        match &self.operation.kind {
            Kind::Linear(linear) => linear.row_shape.iter().product(),
            Kind::Scores(_) | Kind::Probs(_) => {
                h.heads * usize::try_from(batch.positions.end).unwrap_or(1)
            }
            _ => h.embedding,
        }
    }

    fn part(&mut self, seq: u64, batch: &Batch) -> Result<(), Error> {
        let class = self.class();
        let first = self.preferred.get(&class).copied();
        let local = local_error(
            self.operation,
            self.index,
            seq,
            batch,
            self.weights,
            first.unwrap_or(Arithmetic::F64),
            NEAR,
        );
        match local {
            Ok(local) => {
                self.preferred.insert(class, local.arithmetic);
                self.add(seq, batch, local);
            }
            Err(Unknown::Failure(Failure::Read(error))) => return Err(error),
            Err(Unknown::Failure(failure)) => self.reason(failure.to_string()),
            Err(Unknown::Missing(missing)) => missing.into_iter().for_each(|one| self.lacks(one)),
        }
        Ok(())
    }

    /// Operations of a class are computed by one arithmetic, as a rule.
    fn class(&self) -> String {
        let dtypes = self.operation.weights().into_iter().filter_map(|name| {
            let info = self.weights.hparams().tensors.get(name);
            info.map(|info| info.dtype.as_str())
        });
        let dtypes: Vec<&str> = dtypes.collect();
        format!("{} {}", self.operation.kind.name(), dtypes.join(" "))
    }

    fn lacks(&mut self, missing: Missing) {
        self.reason(format!("`{}` was {}", missing.checkpoint, missing.gap));
        if !self.missing.contains(&missing.checkpoint) {
            self.missing.push(missing.checkpoint);
        }
    }

    /// The first few say enough.
    fn reason(&mut self, reason: String) {
        if self.reasons.len() < 3 && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn add(&mut self, seq: u64, batch: &Batch, local: LocalError) {
        let name = self.operation.checkpoint.as_str();
        let pieces = self.index.pieces(name);
        let dtype = pieces.first().map(|piece| piece.dtype);
        let allowed = self.options.limit.unwrap_or_else(|| {
            let dtype = dtype.unwrap_or(orch_log::format::Dtype::F32);
            let of_type = limit(self.operation, &local, dtype, batch.positions.end);
            of_type.max(of_tf32(self.operation, &local, self.weights.hparams()))
        });
        let not_emulated = not_emulated(self.operation, &local, self.weights.hparams());
        self.not_emulated = self.not_emulated.max(not_emulated);
        let relative = local.deviation.relative;
        let this = VerifiedOperation {
            checkpoint: name.to_owned(),
            kind: self.operation.kind.name().to_owned(),
            follows: relative <= allowed,
            relative: relative.into(),
            limit: allowed.into(),
            position: local.deviation.position,
            seq,
            rows: local.deviation.rows as u64,
            arithmetic: local.arithmetic.name().to_owned(),
            f64: local.f64.map(|deviation| deviation.relative.into()),
            engine: local.engine.map(|deviation| deviation.relative.into()),
            inputs: local.inputs,
            through: local.through,
            weights: self
                .operation
                .weights()
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        self.found = Some(match self.found.take() {
            None => this,
            Some(before) => {
                let rows = before.rows + this.rows;
                // By how much of its limit each takes.
                let share = |one: &VerifiedOperation| one.relative.0 / one.limit.0;
                let worse = if share(&this) > share(&before) {
                    this
                } else {
                    before
                };
                VerifiedOperation { rows, ..worse }
            }
        });
    }
}
