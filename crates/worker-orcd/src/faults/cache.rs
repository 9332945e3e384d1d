//! Mistakes in the key-value cache.

use candle_core::{Result, Tensor};

use super::{Fault, Needs};
use crate::model::LayerCache;
use crate::ops::{At, Operations};

pub(super) const FAULTS: &[Fault] = &[Fault {
    name: "kv-cache-stale",
    family: "kv_cache_state",
    summary: "does not write the new token's keys and values in decode steps, so its row stays zero",
    first: "layer_{L}_attn_scores",
    phase: "decode",
    params: &[],
    by_token: true,
    needs: Needs::Nothing,
    build: |_, _| Ok(Box::new(NotWritten)),
}];

struct NotWritten;

impl Operations for NotWritten {
    fn remember(
        &self,
        at: At,
        cache: &mut LayerCache,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        if at.step == 0 {
            cache.store(at.first, k, v)?;
        }
        cache.read(at.first + at.rows)
    }
}
