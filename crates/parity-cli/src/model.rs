//! A model's weights for the library, through ggml.

use crate::failure::Failure;
use ggml_capture::models::ModelFile;
use parity::Error;
use parity::recompute::{
    Arithmetic, Blocks, Hparams, Metadata, TensorInfo, Weight, Weights, multiply,
};
use parity::tensor::Dense;
use parity::trace::RunInfo;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;

/// A GGUF file whose weights are read when they are needed.
pub(crate) struct Model {
    file: ModelFile,
    hparams: Hparams,
    threads: usize,
    /// Tensors that were asked for as a whole, the latest first: rules ask for the same one many times.
    kept: RefCell<VecDeque<(String, Weight)>>,
}

/// How many tensors are kept, and how large one may be to be kept.
const KEPT: usize = 4;
const KEPT_ELEMENTS: usize = 16 << 20;

/// Widened weights that are in memory at once while a product is computed.
const BLOCK_ELEMENTS: usize = 4 << 20;

impl Model {
    /// Opens a model for recomputing what a run of it logged.
    pub(crate) fn open(path: &Path, run: Option<&RunInfo>) -> Result<Self, Failure> {
        let file = ModelFile::open(path)
            .map_err(|error| Failure::message(format!("cannot read the model: {error}")))?;
        let tensors = file
            .tensors()
            .map(|tensor| {
                let info = TensorInfo {
                    shape: tensor.shape,
                    dtype: tensor.dtype.to_owned(),
                };
                (tensor.name.to_owned(), info)
            })
            .collect();
        let hparams = Hparams::read(&Keys(&file), tensors)
            .map_err(|message| Failure::message(format!("model `{}`: {message}", path.display())))?
            .for_run(run);
        Ok(Self {
            file,
            hparams,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get().min(8)),
            kept: RefCell::default(),
        })
    }

    fn error(&self, error: ggml_capture::Error) -> Error {
        Error::Read {
            path: self.file.path().to_owned(),
            offset_bytes: 0,
            source: io::Error::other(error),
        }
    }

    /// Rows of the innermost dimension that a tensor has, and their length.
    fn matrix(&self, name: &str) -> Option<(usize, usize)> {
        let info = self.hparams.tensors.get(name)?;
        let (inputs, outer) = info.shape.split_last()?;
        Some((outer.iter().product(), *inputs))
    }

    fn product(
        &self,
        name: &str,
        rows: Range<usize>,
        x: &Dense,
        arithmetic: Arithmetic,
    ) -> Result<Option<Dense>, Error> {
        let Some((_, inputs)) = self.matrix(name).filter(|(_, inputs)| *inputs > 0) else {
            return Ok(None);
        };
        if x.row_len() != inputs {
            return Ok(None);
        }
        let shape = vec![x.n_rows(), rows.len()];
        let data = match arithmetic {
            Arithmetic::Engine => {
                let narrow: Vec<f32> = x.data.iter().map(|x| *x as f32).collect();
                let found = self.file.matmul(name, rows, &narrow, self.threads);
                let found = found.map_err(|error| self.error(error))?;
                let Some(found) = found else {
                    return Ok(None);
                };
                found.into_iter().map(f64::from).collect()
            }
            _ => {
                let mut out = vec![0.0; x.n_rows() * rows.len()];
                for first in rows.clone().step_by((BLOCK_ELEMENTS / inputs).max(1)) {
                    let part = first..rows.end.min(first + (BLOCK_ELEMENTS / inputs).max(1));
                    let (at, len) = (part.start - rows.start, part.len());
                    let found = self.file.rows(name, part);
                    let Some(weight) = found.map_err(|error| self.error(error))? else {
                        return Ok(None);
                    };
                    let values = multiply(&x.data, inputs, &weight);
                    for (row, values) in values.chunks_exact(len).enumerate() {
                        out[row * rows.len() + at..][..len].copy_from_slice(values);
                    }
                }
                out
            }
        };
        Ok(Some(Dense { shape, data }))
    }
}

impl Weights for Model {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, Error> {
        let mut kept = self.kept.borrow_mut();
        if let Some(at) = kept.iter().position(|(of, _)| of == name)
            && let Some(found) = kept.remove(at)
        {
            kept.push_front(found.clone());
            return Ok(Some(found.1));
        }
        let Some((rows, _)) = self.matrix(name) else {
            return Ok(None);
        };
        let info = &self.hparams.tensors[name];
        let data = self.file.rows(name, 0..rows);
        let Some(data) = data.map_err(|error| self.error(error))? else {
            return Ok(None);
        };
        let weight = Weight {
            shape: info.shape.clone(),
            data: data.into(),
            dtype: info.dtype.clone(),
        };
        if weight.data.len() <= KEPT_ELEMENTS {
            kept.push_front((name.to_owned(), weight.clone()));
            kept.truncate(KEPT);
        }
        Ok(Some(weight))
    }

    fn rows(&self, name: &str, rows: &[usize]) -> Result<Option<Weight>, Error> {
        let Some((all, _)) = self.matrix(name) else {
            return Ok(None);
        };
        let info = &self.hparams.tensors[name];
        // A row of a stack of matrices is a matrix: several rows of the innermost dimension.
        let each = all / info.shape.first().copied().unwrap_or(1).max(1);
        let mut data = Vec::new();
        for row in rows {
            let found = self.file.rows(name, row * each..(row + 1) * each);
            let Some(found) = found.map_err(|error| self.error(error))? else {
                return Ok(None);
            };
            data.extend(found);
        }
        let mut shape = info.shape.clone();
        if let Some(outermost) = shape.first_mut() {
            *outermost = rows.len();
        }
        Ok(Some(Weight {
            shape,
            data: data.into(),
            dtype: info.dtype.clone(),
        }))
    }

    fn blocks(&self, name: &str, rows: Range<usize>) -> Result<Option<Blocks>, Error> {
        let Some((_, inputs)) = self.matrix(name) else {
            return Ok(None);
        };
        let parts = self.file.blocks(name, rows);
        Ok(parts
            .map_err(|error| self.error(error))?
            .map(|parts| Blocks {
                inputs,
                len: parts.len,
                scales: parts.scales,
                floors: parts.floors,
                integers: parts.integers,
            }))
    }

    fn matmul(
        &self,
        weight: &str,
        x: &Dense,
        arithmetic: Arithmetic,
    ) -> Result<Option<Dense>, Error> {
        match self.matrix(weight) {
            Some((rows, _)) => self.product(weight, 0..rows, x, arithmetic),
            None => Ok(None),
        }
    }

    fn expert_matmul(
        &self,
        weight: &str,
        expert: usize,
        x: &Dense,
        arithmetic: Arithmetic,
    ) -> Result<Option<Dense>, Error> {
        match self
            .hparams
            .tensors
            .get(weight)
            .map(|info| info.shape.as_slice())
        {
            Some(&[_, outputs, _]) => {
                let rows = expert * outputs..(expert + 1) * outputs;
                self.product(weight, rows, x, arithmetic)
            }
            _ => Ok(None),
        }
    }
}

struct Keys<'f>(&'f ModelFile);

impl Metadata for Keys<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        self.0.number(key)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.text(key)
    }
}
