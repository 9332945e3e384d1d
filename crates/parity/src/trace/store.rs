//! One trace: its records, its payloads and what its run was.

use super::lines::Lines;
use super::payload::{PayloadFault, PayloadFiles, PayloadNumbers};
use super::reader::{Located, Records};
use super::run_file::RunFile;
use super::similar::similar_files;
use crate::error::Error;
use orch_log::format::{Record, parse_line};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A trace on disk.
///
/// Nothing of it is kept in memory but the run file. Records are read in order by [`Trace::records`] or again
/// by their offset; payloads are read in blocks.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    file: File,
    len_bytes: u64,
    run: RunFile,
    payloads: PayloadFiles,
}

impl Trace {
    /// Opens `NAME.jsonl` and reads `NAME.run.json` beside it, if there is one.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is not a regular one (records are read again by their offset, which
    /// a pipe does not allow).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        match open_trace(&path) {
            Ok((file, len_bytes)) => Ok(Self {
                run: RunFile::beside(&path),
                payloads: PayloadFiles::beside(&path),
                path,
                file,
                len_bytes,
            }),
            Err(source) => Err(Error::Open {
                similar: similar_files(&path),
                path,
                source,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// What the run was.
    pub fn run(&self) -> &RunFile {
        &self.run
    }

    /// All records from the beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened again.
    pub fn records(&self) -> Result<Records<'_>, Error> {
        let (file, _) = open_regular(&self.path).map_err(|source| self.read_error(0, source))?;
        Ok(Records::new(self, file))
    }

    /// The record whose line begins at `offset_bytes`, as [`Located::offset_bytes`] gave it.
    ///
    /// # Errors
    ///
    /// When there is no record there: the file was changed while it was read.
    pub fn record_at(&self, offset_bytes: u64) -> Result<Located, Error> {
        let changed = |message: String| {
            self.read_error(
                offset_bytes,
                io::Error::new(io::ErrorKind::InvalidData, message),
            )
        };
        let mut lines = Lines::new(BufReader::with_capacity(
            4096,
            ReadAt {
                file: &self.file,
                offset_bytes,
            },
        ));
        let line = lines
            .next()
            .map_err(|source| self.read_error(offset_bytes, source))?
            .ok_or_else(|| changed("the file is shorter than it was".to_owned()))?;
        let parsed = parse_line(line.bytes)
            .map_err(|error| changed(format!("the record has changed: {error}")))?;
        Ok(Located {
            record: parsed.record,
            line: 0,
            offset_bytes,
            lenient_numbers: parsed.lenient_numbers,
        })
    }

    /// The elements of the record's payload; `None` where it names none.
    ///
    /// # Errors
    ///
    /// The reason why a payload that is named cannot be used.
    pub fn payload(&self, record: &Record) -> Option<Result<PayloadNumbers, PayloadFault>> {
        let payload = record.payload.as_ref()?;
        Some(self.payloads.numbers(payload, &record.shape))
    }

    pub(super) fn read_error(&self, offset_bytes: u64, source: io::Error) -> Error {
        Error::Read {
            path: self.path.clone(),
            offset_bytes,
            source,
        }
    }
}

/// As [`open_regular`], for a trace: with a model in its place every line of it would be called damaged.
fn open_trace(path: &Path) -> io::Result<(File, u64)> {
    let (file, len) = open_regular(path)?;
    let mut magic = [0; 4];
    if file.read_at(&mut magic, 0)? == magic.len() && magic == *b"GGUF" {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is a model (GGUF), not a trace of a run",
        ));
    }
    Ok((file, len))
}

pub(super) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "this is a folder; name the `.jsonl` file in it",
        ));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this is not a regular file; write the trace to a file first",
        ));
    }
    Ok((file, metadata.len()))
}

/// Sequential reading from an offset, without moving the file's own position.
struct ReadAt<'f> {
    file: &'f File,
    offset_bytes: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset_bytes)?;
        self.offset_bytes += read as u64;
        Ok(read)
    }
}
