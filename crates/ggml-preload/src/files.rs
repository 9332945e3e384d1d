//! Names of traces.
//!
//! One trace is one run. A program may make several: prompts one after another, two models, processes that each
//! compute. The first is the trace that was asked for, the others are numbered beside it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use orch_log::Recorder;

use crate::asked::Asked;

/// Traces begun in this process.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// A recorder, and whether its trace was empty before.
pub(crate) struct Begun {
    pub(crate) recorder: Recorder,
    pub(crate) is_new: bool,
}

/// Begins the next trace of this process.
///
/// # Errors
///
/// It cannot be opened.
pub(crate) fn begin(asked: &Asked) -> io::Result<Begun> {
    let number = BEGUN.fetch_add(1, Relaxed) + 1;
    let mut path = asked.log.path.clone();
    if number == 1 && asked.started_by_parity {
        // Another process may have been first.
        if !claim(&path)? {
            path = beside(&path, &format!("{}", std::process::id()));
        }
    } else if number > 1 {
        path = beside(&path, &format!("{number}"));
        if asked.started_by_parity && !claim(&path)? {
            path = beside(&path, &format!("{}", std::process::id()));
        }
    }
    let mut settings = asked.log.clone();
    let is_new = std::fs::metadata(&path).map_or(true, |data| data.len() == 0);
    settings.path = path;
    let recorder = if is_new {
        Recorder::create(settings)
    } else {
        Recorder::append(settings)
    }?;
    Ok(Begun { recorder, is_new })
}

/// Begins a trace again from nothing.
///
/// # Errors
///
/// It cannot be opened.
pub(crate) fn begin_again(recorder: &Recorder) -> io::Result<Recorder> {
    Recorder::create(recorder.settings().clone())
}

/// Makes the file. False when it is there already.
fn claim(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(File { .. }) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// `x/run.jsonl` → `x/run.MARK.jsonl`.
fn beside(path: &Path, mark: &str) -> PathBuf {
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(".");
    name.push(mark);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(
            beside(Path::new("x/run.jsonl"), "2"),
            Path::new("x/run.2.jsonl")
        );
        assert_eq!(beside(Path::new("run"), "77"), Path::new("run.77"));
    }

    #[test]
    fn a_name_is_claimed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl");
        assert!(claim(&path).expect("writable"));
        assert!(!claim(&path).expect("writable"));
        assert!(claim(&folder.path().join("no/such/run.jsonl")).is_err());
    }
}
