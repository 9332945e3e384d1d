//! `--logits FILE`: what the model computed, whether or not anything is logged.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use worker_orcd::place::Place;
use worker_orcd::{Error, Result};

/// Rows of logits, `[positions, vocabulary]` in f32, little-endian.
pub(super) struct LogitsFile {
    path: PathBuf,
    file: File,
}

impl LogitsFile {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|source| Error::Io {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends the rows of one pass.
    pub(super) fn add(&mut self, logits: &Tensor) -> Result<()> {
        let values = Place::default()
            .bring(logits)
            .and_then(|logits| logits.flatten_all()?.to_vec1::<f32>())
            .map_err(|source| Error::Compute {
                what: "reading the logits".to_owned(),
                source,
            })?;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|source| Error::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}
