//! What enters the first block.

use super::{Context, Failure};
use crate::recompute::kind::Embed;
use crate::tensor::Dense;

impl Context<'_> {
    pub(super) fn embed(&self, embed: &Embed, tokens: &Dense) -> Result<Dense, Failure> {
        let ids: Vec<usize> = tokens.data.iter().map(|id| *id as usize).collect();
        let mut out = self.looked_up(&embed.table, &ids)?;
        if let Some(table) = &embed.positions {
            let position = |row| self.position(embed.position, row, 0) as usize;
            let positions: Vec<usize> = (0..ids.len()).map(position).collect();
            let learned = self.looked_up(table, &positions)?;
            out = out.zip(&learned, |a, b| a + b).ok_or_else(|| {
                Failure::Shape(format!("{:?} and {:?} are added", out.shape, learned.shape))
            })?;
        }
        Ok(out.map(|x| x * embed.scale))
    }

    fn looked_up(&self, table: &str, rows: &[usize]) -> Result<Dense, Failure> {
        if !self.weights.hparams().has(table) {
            return Err(Failure::NoWeight(table.to_owned()));
        }
        let found = self.weights.rows(table, rows)?.ok_or_else(|| {
            let largest = rows.iter().max().copied().unwrap_or(0);
            Failure::Shape(format!("`{table}` has no row {largest}"))
        })?;
        let data = found.data.iter().map(|x| f64::from(*x)).collect();
        Dense::new(found.shape, data)
            .ok_or_else(|| Failure::Shape(format!("`{table}` is not as large as it says")))
    }
}
