//! Telling `parity capture` what happened in the program.
//!
//! The library must not print: the program's output is the program's. It appends lines to the file named by
//! `PARITY_PRELOAD_STATUS`, one `write(2)` each, `KIND<tab>PID<tab>TEXT`, and the command that started the program
//! reads them when the program has ended. Without the variable nothing is told.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A process loaded this library; the text is its executable.
    Loaded,
    /// The first graph of a process; the text is the file that holds its ggml.
    Graph,
    /// A trace was begun; the text is its path.
    Trace,
    /// A process ended without a graph although ggml is loaded; the text is the file that holds ggml.
    Unseen,
    /// Something could not be captured; the text says what.
    Problem,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Graph => "graph",
            Self::Trace => "trace",
            Self::Unseen => "unseen",
            Self::Problem => "problem",
        }
    }
}

/// Appends one line. Failing is no reason to do anything.
pub(crate) fn tell(kind: Kind, text: impl AsRef<OsStr>) {
    static FILE: OnceLock<Option<CString>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = std::env::var_os("PARITY_PRELOAD_STATUS")?;
        CString::new(path.as_bytes()).ok()
    });
    let Some(file) = file else {
        return;
    };
    let line = line(kind, std::process::id(), text.as_ref());
    // SAFETY: a C string, a descriptor of our own, and a buffer of the given length.
    unsafe {
        let descriptor = libc::open(
            file.as_ptr(),
            libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC,
        );
        if descriptor >= 0 {
            libc::write(descriptor, line.as_ptr().cast(), line.len());
            libc::close(descriptor);
        }
    }
}

fn line(kind: Kind, pid: u32, text: &OsStr) -> Vec<u8> {
    let mut line = format!("{}\t{pid}\t", kind.word()).into_bytes();
    line.extend(text.as_bytes().iter().map(|byte| match byte {
        b'\n' | b'\r' | b'\t' => b' ',
        byte => *byte,
    }));
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_whatever_the_text() {
        let line = line(Kind::Problem, 7, OsStr::new("two\nlines\tand a tab"));
        assert_eq!(line, b"problem\t7\ttwo lines and a tab\n");
    }
}
