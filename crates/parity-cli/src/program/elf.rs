//! What a program's file tells before and after it ran.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How a file starts as a program, as far as preloading is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linkage {
    /// The loader runs first, and preloads what it is told to.
    Dynamic,
    /// There is no loader that could preload anything.
    Static,
    /// An executable of another machine or word size.
    Foreign,
    /// Not ELF: a script, whose interpreter decides.
    Script,
}

/// The linkage of the program at `path`.
///
/// # Errors
///
/// The file cannot be read.
///
/// # Source
///
/// System V ABI, "ELF Header" and "Program Header"; `elf(5)`.
pub(super) fn linkage(path: &Path) -> io::Result<Linkage> {
    const INTERPRETER: u32 = 3;
    const X86_64: u16 = 62;
    let file = File::open(path)?;
    let mut header = [0u8; 64];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Linkage::Script),
        other => other?,
    }
    if header[..4] != *b"\x7fELF" {
        return Ok(Linkage::Script);
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    // 64 bits, little-endian.
    if header[4] != 2 || header[5] != 1 || half(18) != X86_64 {
        return Ok(Linkage::Foreign);
    }
    let mut offset = [0u8; 8];
    offset.copy_from_slice(&header[32..40]);
    let (offset, size, count) = (
        u64::from_le_bytes(offset),
        u64::from(half(54)),
        u64::from(half(56)),
    );
    for index in 0..count {
        let mut kind = [0u8; 4];
        file.read_exact_at(&mut kind, offset + index * size)?;
        if u32::from_le_bytes(kind) == INTERPRETER {
            return Ok(Linkage::Dynamic);
        }
    }
    Ok(Linkage::Static)
}

/// Whether ggml's code is inside the file itself: its assertions leave their texts behind.
pub(super) fn contains_ggml(path: &Path) -> bool {
    const MARK: &[u8] = b"GGML_ASSERT(";
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    let mut block = vec![0u8; 1 << 20];
    let mut kept = 0;
    loop {
        let read = match file.read(&mut block[kept..]) {
            Ok(0) | Err(_) => return false,
            Ok(read) => kept + read,
        };
        if block[..read]
            .windows(MARK.len())
            .any(|window| window == MARK)
        {
            return true;
        }
        // A mark may lie across two blocks.
        kept = read.min(MARK.len() - 1);
        block.copy_within(read - kept..read, 0);
    }
}

/// The file that running `program` would start: itself if it has a slash, else the first in `PATH`.
pub(super) fn find(program: &Path) -> Option<PathBuf> {
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.mode() & 0o111 != 0)
    };
    if program.components().count() > 1 || program.is_absolute() {
        return executable(program).then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic_and_has_no_ggml() {
        let here = std::env::current_exe().expect("a running program has a file");
        assert_eq!(linkage(&here).expect("readable"), Linkage::Dynamic);
    }

    #[test]
    fn what_is_not_elf_is_a_script() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("run");
        for text in ["#!/bin/sh\n".to_owned(), "x".repeat(100), String::new()] {
            std::fs::write(&script, text).expect("writable");
            assert_eq!(linkage(&script).expect("readable"), Linkage::Script);
        }
    }

    #[test]
    fn static_and_foreign_headers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("elf");
        let mut header = vec![0u8; 64 + 56];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[18] = 62;
        header[32] = 64; // program headers follow
        header[54] = 56;
        header[56] = 1;
        header[64] = 1; // PT_LOAD
        std::fs::write(&path, &header).expect("writable");
        assert_eq!(linkage(&path).expect("readable"), Linkage::Static);
        header[64] = 3; // PT_INTERP
        std::fs::write(&path, &header).expect("writable");
        assert_eq!(linkage(&path).expect("readable"), Linkage::Dynamic);
        header[18] = 183; // AArch64
        std::fs::write(&path, &header).expect("writable");
        assert_eq!(linkage(&path).expect("readable"), Linkage::Foreign);
    }

    #[test]
    fn ggml_is_found_across_blocks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        let mut bytes = vec![b'G'; (1 << 20) - 5];
        bytes.extend_from_slice(b"GGML_ASSERT(x)");
        std::fs::write(&path, &bytes).expect("writable");
        assert!(contains_ggml(&path));
        std::fs::write(&path, &bytes[..bytes.len() - 3]).expect("writable");
        assert!(!contains_ggml(&path));
    }

    #[test]
    fn programs_are_found_as_the_shell_finds_them() {
        assert!(find(Path::new("sh")).is_some_and(|path| path.is_absolute()));
        assert!(find(Path::new("/bin/sh")).is_some());
        assert!(find(Path::new("no-such-program-anywhere")).is_none());
        assert!(find(Path::new("/")).is_none());
    }
}
