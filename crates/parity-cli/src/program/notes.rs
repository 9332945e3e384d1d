//! What the preloaded library told while the program ran.

use std::path::PathBuf;

/// Everything that the library told, from all processes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Executables of the processes that loaded the library.
    pub(super) loaded: Vec<PathBuf>,
    /// Files that hold a ggml whose graphs were seen.
    pub(super) graphs: Vec<PathBuf>,
    /// Traces, in the order in which they were begun.
    pub(super) traces: Vec<PathBuf>,
    /// Files that hold a ggml none of whose graphs was seen.
    pub(super) unseen: Vec<PathBuf>,
    /// What could not be captured.
    pub(super) problems: Vec<String>,
}

impl Notes {
    /// Reads lines `KIND<tab>PID<tab>TEXT`; others are skipped. Each text is kept once.
    pub(super) fn parse(text: &str) -> Self {
        let mut notes = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, '\t');
            let (Some(kind), Some(_pid), Some(text)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            match kind {
                "loaded" => push_once(&mut notes.loaded, text.into()),
                "graph" => push_once(&mut notes.graphs, text.into()),
                "trace" => push_once(&mut notes.traces, text.into()),
                "unseen" => push_once(&mut notes.unseen, text.into()),
                "problem" => push_once(&mut notes.problems, text.to_owned()),
                _ => {}
            }
        }
        notes
    }
}

fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_processes() {
        let notes = Notes::parse(
            "loaded\t10\t/usr/bin/sh\nloaded\t11\t/usr/bin/python3\ntorn\ngraph\t11\t/x/libggml-base.so\n\
             trace\t11\t/tmp/a.jsonl\nproblem\t11\tdisk full\nproblem\t12\tdisk full\nnew\t1\tunknown\n",
        );
        assert_eq!(
            notes.loaded,
            [
                PathBuf::from("/usr/bin/sh"),
                PathBuf::from("/usr/bin/python3")
            ]
        );
        assert_eq!(notes.graphs, [PathBuf::from("/x/libggml-base.so")]);
        assert_eq!(notes.traces, [PathBuf::from("/tmp/a.jsonl")]);
        assert_eq!(notes.problems, ["disk full"]);
        assert!(notes.unseen.is_empty());
    }
}
