//! Payload files: all elements of a tensor, read in blocks.

use super::payload_blocks::PayloadBlocks;
use super::store::open_regular;
use crate::error::Error;
use crate::tensor::{Blocks, Numbers, decode, element_count};
use orch_log::format::{Dtype, PayloadRef};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Why a payload that a record names cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadFault {
    /// The name is not a bare file name; a trace may not point outside its folder.
    Name(String),
    /// The file cannot be opened.
    Missing {
        /// The file.
        file: String,
        /// What the system said.
        message: String,
    },
    /// The file ends before the payload does.
    Short {
        /// The file.
        file: String,
        /// Where the payload should end.
        end_bytes: u64,
        /// Where the file ends.
        len_bytes: u64,
    },
    /// Length and shape disagree.
    Length {
        /// Length that the record gives.
        nbytes: u64,
        /// Length that shape and storage type need; `None` where it does not fit 64 bits.
        expected_bytes: Option<u64>,
    },
    /// The storage type is not known here.
    Dtype(Dtype),
}

impl fmt::Display for PayloadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(file) => write!(f, "payload `{file}` is not a bare file name"),
            Self::Missing { file, message } => {
                write!(f, "payload file `{file}` cannot be opened: {message}")
            }
            Self::Short {
                file,
                end_bytes,
                len_bytes,
            } => write!(
                f,
                "payload ends at byte {end_bytes} of `{file}`, which has {len_bytes}"
            ),
            Self::Length {
                nbytes,
                expected_bytes,
            } => match expected_bytes {
                Some(expected) => write!(
                    f,
                    "payload has {nbytes} bytes where its shape needs {expected}"
                ),
                None => write!(
                    f,
                    "payload has {nbytes} bytes where its shape needs more than 64 bits can count"
                ),
            },
            Self::Dtype(dtype) => write!(f, "payload of type `{dtype}` cannot be decoded"),
        }
    }
}

/// The payload files beside a trace, opened when first needed.
#[derive(Debug)]
pub(super) struct PayloadFiles {
    trace: PathBuf,
    open: Mutex<HashMap<String, Arc<PayloadFile>>>,
}

#[derive(Debug)]
struct PayloadFile {
    path: PathBuf,
    file: File,
    len_bytes: u64,
}

/// One file per process that logged: more than this open at once only wastes descriptors.
const MAX_OPEN: usize = 64;

impl PayloadFiles {
    pub(super) fn beside(trace: &Path) -> Self {
        Self {
            trace: trace.to_owned(),
            open: Mutex::default(),
        }
    }

    /// The elements of a payload that has the given shape.
    pub(super) fn numbers(
        &self,
        payload: &PayloadRef,
        shape: &[usize],
    ) -> Result<PayloadNumbers, PayloadFault> {
        let PayloadRef {
            file,
            offset,
            nbytes,
            dtype,
        } = payload;
        let size_bytes = dtype.size_bytes().ok_or(PayloadFault::Dtype(*dtype))? as u64;
        let elements = element_count(shape);
        let expected_bytes = elements.and_then(|elements| elements.checked_mul(size_bytes));
        let (Some(elements), Some(expected)) = (elements, expected_bytes) else {
            return Err(PayloadFault::Length {
                nbytes: *nbytes,
                expected_bytes,
            });
        };
        if *nbytes != expected {
            return Err(PayloadFault::Length {
                nbytes: *nbytes,
                expected_bytes,
            });
        }
        let source = self.file(file)?;
        let end_bytes = offset.saturating_add(*nbytes);
        if end_bytes > source.len_bytes {
            return Err(PayloadFault::Short {
                file: file.clone(),
                end_bytes,
                len_bytes: source.len_bytes,
            });
        }
        Ok(PayloadNumbers {
            source,
            offset_bytes: *offset,
            dtype: *dtype,
            size_bytes,
            elements,
        })
    }

    fn file(&self, name: &str) -> Result<Arc<PayloadFile>, PayloadFault> {
        // A map of open files stays valid whatever panicked while it was locked.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(name) {
            return Ok(Arc::clone(file));
        }
        if Path::new(name).file_name().is_none_or(|bare| bare != name) {
            return Err(PayloadFault::Name(name.to_owned()));
        }
        let path = self.trace.with_file_name(name);
        let (file, len_bytes) = open_regular(&path).map_err(|error| PayloadFault::Missing {
            file: name.to_owned(),
            message: error.to_string(),
        })?;
        let file = Arc::new(PayloadFile {
            path,
            file,
            len_bytes,
        });
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// The elements of one payload.
#[derive(Clone, Debug)]
pub struct PayloadNumbers {
    source: Arc<PayloadFile>,
    offset_bytes: u64,
    dtype: Dtype,
    size_bytes: u64,
    elements: u64,
}

impl PayloadNumbers {
    pub(super) fn file(&self) -> &File {
        &self.source.file
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Where the payload ends in its file.
    pub(super) fn end_bytes(&self) -> u64 {
        self.offset_bytes + self.elements * self.size_bytes
    }

    /// Where `count` elements from `first` on lie in the file, `(offset, length)`, as far as there are so many.
    pub(super) fn span(&self, first: u64, count: usize) -> (u64, u64) {
        let first = first.min(self.elements);
        let count = (count as u64).min(self.elements - first);
        (
            self.offset_bytes + first * self.size_bytes,
            count * self.size_bytes,
        )
    }

    pub(super) fn read_error(&self, offset_bytes: u64, source: std::io::Error) -> Error {
        Error::Read {
            path: self.source.path.clone(),
            offset_bytes,
            source,
        }
    }
}

impl Numbers for PayloadNumbers {
    fn available(&self) -> u64 {
        self.elements
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error> {
        let (offset_bytes, len) = self.span(first, count);
        let mut bytes = vec![0; len as usize];
        self.file()
            .read_exact_at(&mut bytes, offset_bytes)
            .map_err(|source| self.read_error(offset_bytes, source))?;
        decode(self.dtype, &bytes, out).map_err(|undecodable| {
            let message = PayloadFault::Dtype(undecodable.0).to_string();
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, message);
            self.read_error(offset_bytes, source)
        })
    }

    fn blocks(&self) -> Box<dyn Blocks + '_> {
        Box::new(PayloadBlocks::new(self))
    }

    fn shared(&self) -> Option<&(dyn Numbers + Sync)> {
        Some(self)
    }
}
