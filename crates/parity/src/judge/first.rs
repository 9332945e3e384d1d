//! The first divergence and the errors around it.

use super::detail::Detail;
use crate::align::{Key, Names, Place, inputs_of};
use std::collections::BTreeMap;

/// The error of a checkpoint that another one is computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct InputError {
    /// Its name.
    pub checkpoint: String,
    /// Its NMSE at the same position.
    pub nmse: f64,
}

/// The first pair above the limit in the order of the reference file: what is logged first is computed first.
#[derive(Clone, Debug)]
pub struct First {
    pub(super) offset_bytes: u64,
    pub(super) detail: Detail,
    /// Inputs as the reference names them.
    pub(super) src: Vec<String>,
    /// Errors of the checkpoints at the same position of the same sequence.
    pub(super) around: BTreeMap<String, f64>,
}

impl First {
    /// The pair.
    pub fn detail(&self) -> &Detail {
        &self.detail
    }

    /// Takes in another pair of the same position: pairs complete in any order, and an input may come later.
    pub fn note(&mut self, key: &Key, nmse: f64) {
        let own = &self.detail.key;
        if own.token_idx == key.token_idx && own.seq == key.seq && self.around.len() < Names::MAX {
            self.around.insert(key.checkpoint.clone(), nmse);
        }
    }

    /// The errors of what the pair was computed from: its `src`, or else the nearest captured checkpoints before it
    /// in the canonical order.
    pub fn inputs(&self) -> Vec<InputError> {
        self.input_names(&|name| self.around.contains_key(name))
            .into_iter()
            .filter_map(|checkpoint| {
                let nmse = *self.around.get(&checkpoint)?;
                Some(InputError { checkpoint, nmse })
            })
            .collect()
    }

    /// The names of those inputs for which `is_captured` is true.
    pub fn input_names(&self, is_captured: &dyn Fn(&str) -> bool) -> Vec<String> {
        let own = &self.detail.key.checkpoint;
        let named = |name: &&String| *name != own && is_captured(name);
        let from_src: Vec<String> = self.src.iter().filter(named).cloned().collect();
        if !from_src.is_empty() {
            return from_src;
        }
        let layer = |name: &String| match Place::of(name) {
            Some(Place::Layer(layer, _)) => Some(layer + 1),
            _ => None,
        };
        let layers = self.around.keys().filter_map(layer).max().unwrap_or(0);
        inputs_of(own, layers, is_captured)
    }
}
