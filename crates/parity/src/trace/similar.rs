//! Which file may have been meant.

use std::path::{Path, PathBuf};

/// Traces in the same folder whose names resemble `path`'s most, at most three.
pub(super) fn similar_files(path: &Path) -> Vec<PathBuf> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(wanted) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<(usize, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let distance = edit_distance(wanted, &name);
            // A third of the letters may differ: a typing mistake or a missing extension, not another name.
            let near = distance * 3 <= wanted.len().max(3) || name == format!("{wanted}.jsonl");
            let is_trace = name.ends_with(".jsonl");
            (near && is_trace && name != wanted).then(|| (distance, path.with_file_name(name)))
        })
        .collect();
    found.sort();
    let nearest = found.first().map(|(distance, _)| *distance);
    found.retain(|(distance, _)| Some(*distance) == nearest);
    found.truncate(3);
    found.into_iter().map(|(_, path)| path).collect()
}

/// Levenshtein's distance, in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("ref.jsonl", "ref.jsonl"), 0);
    }

    #[test]
    fn offers_what_lies_beside() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "ref.jsonl",
            "reference_of_another_kind.jsonl",
            "ref.run.json",
            "x.txt",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let offered = |name: &str| similar_files(&folder.path().join(name));
        assert_eq!(offered("rfe.jsonl"), [folder.path().join("ref.jsonl")]);
        assert_eq!(offered("ref"), [folder.path().join("ref.jsonl")]);
        assert!(offered("something_else").is_empty());
        assert!(similar_files(Path::new("/no/such/folder/x.jsonl")).is_empty());
    }
}
