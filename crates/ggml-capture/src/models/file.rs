//! The weights of a GGUF file, read when they are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use llama_cpp_sys_2 as sys;

use super::blocks::{BlockParts, take_apart};
use super::gguf::{Entry, Gguf};
use super::product;
use crate::Error;

/// A GGUF file whose weights stay on disk until they are asked for.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    file: File,
    metadata: Gguf,
    tensors: BTreeMap<String, Entry>,
}

/// A tensor of a [`ModelFile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry<'f> {
    /// `blk.3.attn_q.weight`.
    pub name: &'f str,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Storage type by ggml's name.
    pub dtype: &'f str,
}

/// Bytes of weights that are in memory at once.
const BLOCK_BYTES: usize = 64 << 20;

impl ModelFile {
    /// Opens a file and reads all but its weights.
    ///
    /// # Errors
    ///
    /// The file is missing, is not GGUF, or ends before its tensors do.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let metadata = Gguf::open(path)?;
        let file = File::open(path).map_err(Error::io("read model", path))?;
        let length = file
            .metadata()
            .map_err(Error::io("read model", path))?
            .len();
        let tensors: BTreeMap<String, Entry> = metadata
            .tensors()
            .into_iter()
            .map(|entry| (entry.name.clone(), entry))
            .collect();
        if let Some(cut) = tensors.values().find(|entry| entry.end > length) {
            let message = format!(
                "is cut off: it has {length} bytes, but tensor `{}` ends at byte {}",
                cut.name, cut.end
            );
            return Err(Error::Model {
                path: path.to_owned(),
                message,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
            tensors,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number among the metadata, of whatever type.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.metadata.number(key)
    }

    /// A string among the metadata.
    pub fn text(&self, key: &str) -> Option<String> {
        self.metadata.text(key)
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorEntry<'_>> {
        self.tensors.values().map(|entry| TensorEntry {
            name: &entry.name,
            shape: shape(entry),
            dtype: &entry.type_name,
        })
    }

    /// Rows of a tensor (of its innermost dimension, counted through all others), widened by ggml; `None` where there is
    /// no such tensor or it has not so many rows.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or ggml cannot widen the type.
    pub fn rows(&self, name: &str, rows: Range<usize>) -> Result<Option<Vec<f32>>, Error> {
        let Some((entry, row_bytes)) = self.found(name, &rows) else {
            return Ok(None);
        };
        let mut bytes = vec![0; rows.len() * row_bytes];
        self.read(entry, rows.start * row_bytes, &mut bytes)?;
        let count = rows.len() * entry.ne[0];
        product::widen(entry.kind, &bytes, count)
            .map(Some)
            .ok_or_else(|| self.unsupported(entry))
    }

    /// Rows as in [`ModelFile::rows`], taken apart; `None` also where the type is none of blocks of integers.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn blocks(&self, name: &str, rows: Range<usize>) -> Result<Option<BlockParts>, Error> {
        let Some((entry, row_bytes)) = self.found(name, &rows) else {
            return Ok(None);
        };
        let mut bytes = vec![0; rows.len() * row_bytes];
        self.read(entry, rows.start * row_bytes, &mut bytes)?;
        Ok(take_apart(entry.kind, &bytes))
    }

    /// `x`, rows of as many elements as the tensor's innermost dimension, times the transpose of some of its rows, by
    /// ggml's own kernel: activations are rounded to the type that goes with the weights'.
    ///
    /// # Shape
    ///
    /// `[rows of x, rows]`. `None` where there is no such tensor, it has not so many rows, or rows of `x` are of another
    /// length.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or ggml cannot multiply with the type.
    pub fn matmul(
        &self,
        name: &str,
        rows: Range<usize>,
        x: &[f32],
        threads: usize,
    ) -> Result<Option<Vec<f32>>, Error> {
        let Some((entry, row_bytes)) = self.found(name, &rows) else {
            return Ok(None);
        };
        let inputs = entry.ne[0];
        if inputs == 0 || !x.len().is_multiple_of(inputs) {
            return Ok(None);
        }
        let tokens = x.len() / inputs;
        let mut out = vec![0.0; tokens * rows.len()];
        if tokens == 0 {
            return Ok(Some(out));
        }
        let block = (BLOCK_BYTES / row_bytes.max(1)).max(1);
        for first in rows.clone().step_by(block) {
            let part = first..rows.end.min(first + block);
            let fill = |bytes: &mut [u8]| self.read(entry, part.start * row_bytes, bytes);
            let product = product::Product {
                kind: entry.kind,
                inputs,
                outputs: part.len(),
                x,
                threads,
            };
            let found = product
                .compute(fill)?
                .ok_or_else(|| self.unsupported(entry))?;
            for (token, values) in found.chunks_exact(part.len()).enumerate() {
                let at = token * rows.len() + (part.start - rows.start);
                out[at..][..part.len()].copy_from_slice(values);
            }
        }
        Ok(Some(out))
    }

    /// A tensor that has these rows, and the bytes of one.
    fn found(&self, name: &str, rows: &Range<usize>) -> Option<(&Entry, usize)> {
        let entry = self.tensors.get(name)?;
        let all: usize = entry.ne[1..].iter().product();
        let inputs = i64::try_from(entry.ne[0]).ok()?;
        // SAFETY: ggml knows the type: its reader checked it.
        let row_bytes = unsafe { sys::ggml_row_size(entry.kind, inputs) };
        (rows.start <= rows.end && rows.end <= all).then_some((entry, row_bytes))
    }

    fn read(&self, entry: &Entry, offset_bytes: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let start = entry.end - entry.n_bytes as u64;
        self.file
            .read_exact_at(bytes, start + offset_bytes as u64)
            .map_err(Error::io("read model", &self.path))
    }

    fn unsupported(&self, entry: &Entry) -> Error {
        Error::Model {
            path: self.path.clone(),
            message: format!(
                "ggml cannot compute with `{}` of type {}",
                entry.name, entry.type_name
            ),
        }
    }
}

/// Outermost first, without ggml's trailing dimensions of 1.
fn shape(entry: &Entry) -> Vec<usize> {
    let dims = entry.ne.iter().rposition(|n| *n != 1).unwrap_or(0) + 1;
    entry.ne[..dims].iter().rev().copied().collect()
}
