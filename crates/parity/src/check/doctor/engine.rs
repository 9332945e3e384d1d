//! Is the logger in this program at all?

use super::finding;
use crate::check::soundness::{Finding, Severity};
use crate::error::Error;
use memchr::memmem;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Every logger that is compiled in reads this variable, so its name is in the program's file.
const MARK: &[u8] = b"ORCH_LOG_FILE";

/// Looks for the logger in the file of an engine, a program or a shared library.
///
/// # Errors
///
/// The file cannot be read.
pub fn diagnose_engine(engine: &Path) -> Result<Vec<Finding>, Error> {
    let io_error = |source| Error::Read {
        path: engine.to_owned(),
        offset_bytes: 0,
        source,
    };
    let mut file = File::open(engine).map_err(io_error)?;
    let finder = memmem::Finder::new(MARK);
    let mut block = vec![0u8; 1 << 20];
    let mut kept = 0;
    loop {
        let read = file.read(&mut block[kept..]).map_err(io_error)?;
        if read == 0 {
            break;
        }
        let end = kept + read;
        if finder.find(&block[..end]).is_some() {
            return Ok(Vec::new());
        }
        // The mark may lie across two reads.
        kept = end.min(MARK.len() - 1);
        block.copy_within(end - kept..end, 0);
    }
    Ok(vec![finding(
        "D008",
        Severity::Error,
        "the logger is not in this program",
        format!("`{}` does not contain the name of the variable `ORCH_LOG_FILE`", engine.display()),
        "build it with the cargo feature `orch_logging`, or in C++ with -DORCH_LOGGING; if it loads the engine as a \
         library, name that library"
            .to_owned(),
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_found_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine");
        for before in [0, 5, (1 << 20) - 7, (1 << 20) + 3] {
            let mut bytes = vec![b'O'; before];
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(
                diagnose_engine(&path).unwrap().len(),
                1,
                "without, {before}"
            );
            bytes.extend_from_slice(b"ORCH_LOG_FILE and more");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(diagnose_engine(&path).unwrap().len(), 0, "with, {before}");
        }
    }
}
