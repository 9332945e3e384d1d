//! Why nothing was captured, and what to do about it.

use std::path::Path;

use super::elf::{self, Linkage};
use super::notes::Notes;

/// The ways that are left when a program cannot be captured as it is.
const WAYS_OUT: &str = "\
either build it with shared libraries (for llama.cpp: cmake -DBUILD_SHARED_LIBS=ON), \
or, where you build it yourself, add the one line of cpp/orch_log_ggml.hpp to it";

/// Why `program` cannot be captured, where its file tells already.
pub(super) fn before(program: &Path) -> Option<String> {
    let name = program.display();
    match elf::linkage(program) {
        Ok(Linkage::Static) => Some(format!(
            "`{name}` is statically linked, so no library can be preloaded into it: {WAYS_OUT}"
        )),
        Ok(Linkage::Foreign) => Some(format!(
            "`{name}` is not an x86-64 program: capture it on the machine that it was built for"
        )),
        Ok(Linkage::Dynamic | Linkage::Script) | Err(_) => None,
    }
}

/// Why `program`, which has run, left no trace.
pub(super) fn after(program: &Path, notes: &Notes) -> String {
    let name = program.display();
    if let Some(problem) = notes.problems.first() {
        return format!("nothing of `{name}` was captured: {problem}");
    }
    if let Some(library) = notes.unseen.first() {
        return format!(
            "`{name}` loaded ggml from `{}`, but no graph went through its scheduler: it computed none, or it \
             loaded that library with RTLD_DEEPBIND, which keeps preloaded ones out; {WAYS_OUT}",
            library.display()
        );
    }
    if notes.loaded.is_empty() {
        return format!(
            "`{name}` did not load the capture library: a set-user-ID program or a loader other than glibc's; \
             {WAYS_OUT}"
        );
    }
    if let Some(holder) = notes.loaded.iter().find(|path| elf::contains_ggml(path)) {
        return format!(
            "`{}` has ggml linked in statically, where it cannot be reached: {WAYS_OUT}",
            holder.display()
        );
    }
    format!(
        "`{name}` does not use ggml: `parity capture` can only capture engines built on it. Instrument another engine with \
         orch_log! (Rust) or cpp/orch_log.hpp (C++)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn notes(edit: impl FnOnce(&mut Notes)) -> Notes {
        let mut notes = Notes::default();
        edit(&mut notes);
        notes
    }

    #[test]
    fn each_reason_has_its_message() {
        let program = Path::new("engine");
        let folder = tempfile::tempdir().expect("a folder");
        let with_ggml = folder.path().join("engine");
        std::fs::write(&with_ggml, b"..GGML_ASSERT(a == b)..").expect("writable");
        let cases = [
            (notes(|_| {}), "did not load the capture library"),
            (
                notes(|notes| notes.loaded = vec![PathBuf::from("/bin/sh")]),
                "does not use ggml",
            ),
            (
                notes(|notes| notes.loaded = vec![with_ggml.clone()]),
                "linked in statically",
            ),
            (
                notes(|notes| notes.unseen = vec![PathBuf::from("libggml-base.so")]),
                "RTLD_DEEPBIND",
            ),
            (
                notes(|notes| notes.problems = vec!["disk full".to_owned()]),
                "captured: disk full",
            ),
        ];
        for (notes, expected) in cases {
            let message = after(program, &notes);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn both_ways_out_are_named() {
        let message = after(Path::new("engine"), &Notes::default());
        assert!(
            message.contains("-DBUILD_SHARED_LIBS=ON") && message.contains("orch_log_ggml.hpp"),
            "{message}"
        );
    }
}
