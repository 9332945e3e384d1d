//! Blocks of a payload: mapped where it is large, read where it is small.

use super::payload::{PayloadFault, PayloadNumbers};
use crate::error::Error;
use crate::tensor::{Block, Blocks, decode, decode_f32, narrowed};
use memmap2::{Advice, Mmap, MmapOptions};
use orch_log::format::Dtype;
use std::io;
use std::os::unix::fs::FileExt;

/// Payloads with at least this much left are mapped: below, a copy costs less than a mapping.
const MAP_FROM_BYTES: u64 = 1 << 20;

/// How much is mapped at a time. What is mapped counts as memory in use, so that it stays small, and large enough that
/// making and removing the mapping does not show.
const WINDOW_BYTES: u64 = 4 << 20;

/// How much is read at a time: both sides stay in a second-level cache.
const READ_BYTES: u64 = 256 << 10;

/// Windows begin at a multiple of this, which page sizes divide.
const WINDOW_ALIGN_BYTES: u64 = 64 << 10;

/// Reads a payload block by block.
///
/// A file that becomes shorter while it is mapped would stop the process with SIGBUS when the missing part is touched.
/// The length is therefore compared once more before each window is mapped, and the window's pages are fetched at once,
/// which leaves the time of copying a few MiB for someone to cut the file in; loggers only ever append.
pub(super) struct PayloadBlocks<'p> {
    payload: &'p PayloadNumbers,
    held: Held,
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

/// Bytes of the file from an offset on.
enum Held {
    Read { from: u64, bytes: Vec<u8> },
    Mapped { from: u64, bytes: Mmap },
}

impl Held {
    fn get(&self, from: u64, len: u64) -> Option<&[u8]> {
        let (start, bytes): (u64, &[u8]) = match self {
            Self::Read { from, bytes } => (*from, bytes),
            Self::Mapped { from, bytes } => (*from, bytes),
        };
        let at = usize::try_from(from.checked_sub(start)?).ok()?;
        bytes.get(at..at.checked_add(len as usize)?)
    }
}

impl<'p> PayloadBlocks<'p> {
    pub(super) fn new(payload: &'p PayloadNumbers) -> Self {
        Self {
            payload,
            held: Held::Read {
                from: 0,
                bytes: Vec::new(),
            },
            narrow: Vec::new(),
            wide: Vec::new(),
        }
    }

    /// Makes `len` bytes of the file from `from` on be held.
    fn hold(&mut self, from: u64, len: u64) -> Result<(), Error> {
        if self.held.get(from, len).is_some() {
            return Ok(());
        }
        let left = self.payload.end_bytes() - from;
        if left >= MAP_FROM_BYTES
            && let Some(held) = self.map(from, len.max(WINDOW_BYTES.min(left)))?
        {
            self.held = held;
            return Ok(());
        }
        let mut bytes = match std::mem::replace(
            &mut self.held,
            Held::Read {
                from: 0,
                bytes: Vec::new(),
            },
        ) {
            Held::Read { bytes, .. } => bytes,
            Held::Mapped { .. } => Vec::new(),
        };
        bytes.resize(len.max(READ_BYTES.min(left)) as usize, 0);
        self.payload
            .file()
            .read_exact_at(&mut bytes, from)
            .map_err(|source| self.payload.read_error(from, source))?;
        self.held = Held::Read { from, bytes };
        Ok(())
    }

    /// `None` where the system does not map this file.
    fn map(&self, from: u64, len: u64) -> Result<Option<Held>, Error> {
        let file = self.payload.file();
        let error = |source| self.payload.read_error(from, source);
        let end = file.metadata().map_err(error)?.len();
        if end < from + len {
            let message = format!("the file was cut to {end} bytes while it was read");
            return Err(error(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        let start = from - from % WINDOW_ALIGN_BYTES;
        let length = usize::try_from(from + len - start).unwrap_or(usize::MAX);
        // SAFETY: the mapping is only read, as plain bytes, and any bytes are valid numbers. Another process may write
        // to the file meanwhile, as with `read`; that it must not cut it is this type's documented condition.
        let mapped = unsafe { MmapOptions::new().offset(start).len(length).map(file) };
        let Ok(bytes) = mapped else {
            return Ok(None);
        };
        // A kernel that does not know the advice fetches page by page.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(Advice::PopulateRead);
        Ok(Some(Held::Mapped { from: start, bytes }))
    }
}

impl Blocks for PayloadBlocks<'_> {
    fn block(&mut self, first: u64, count: usize) -> Result<Block<'_>, Error> {
        let (from, len) = self.payload.span(first, count);
        self.hold(from, len)?;
        let bytes = self.held.get(from, len).unwrap_or_default();
        let dtype = self.payload.dtype();
        if dtype == Dtype::F32
            && cfg!(target_endian = "little")
            // SAFETY: every bit pattern is an `f32`.
            && let ([], numbers, _) = unsafe { bytes.align_to::<f32>() }
        {
            return Ok(Block::F32(numbers));
        }
        self.narrow.clear();
        if decode_f32(dtype, bytes, &mut self.narrow) {
            return Ok(Block::F32(&self.narrow));
        }
        self.wide.clear();
        decode(dtype, bytes, &mut self.wide).map_err(|undecodable| {
            let message = PayloadFault::Dtype(undecodable.0).to_string();
            let source = io::Error::new(io::ErrorKind::InvalidData, message);
            self.payload.read_error(from, source)
        })?;
        Ok(narrowed(&self.wide, &mut self.narrow))
    }
}
