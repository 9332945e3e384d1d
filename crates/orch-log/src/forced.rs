//! Tokens that a run has to feed whatever it would pick itself: out of another run's trace, or a list.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::format::{Record, TOKENS, parse_line};

/// The tokens of one forward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, in order of their positions.
    pub tokens: Vec<u32>,
    /// The pass; a long prompt may be cut into several batches of step 0.
    pub step: u64,
}

/// Tokens that a run has to feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// All that a reference fed, with its cut into passes.
    Trace {
        /// The passes.
        batches: Vec<Batch>,
        /// How many of the tokens are the prompt.
        prompt: usize,
    },
    /// The continuation only.
    List(Vec<u32>),
}

/// Why tokens cannot be forced.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForcedError {
    /// The file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file is neither a trace with token ids nor a list of them.
    Content {
        /// The file.
        path: PathBuf,
        /// 1-based line, where one is to blame.
        line: Option<usize>,
        /// What was found and what was expected.
        message: String,
    },
}

impl fmt::Display for ForcedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(
                f,
                "cannot read the forced tokens in `{}`: {source}",
                path.display()
            ),
            Self::Content {
                path,
                line: Some(line),
                message,
            } => write!(f, "{}:{line}: {message}", path.display()),
            Self::Content {
                path,
                line: None,
                message,
            } => write!(f, "`{}`: {message}", path.display()),
        }
    }
}

impl std::error::Error for ForcedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Content { .. } => None,
        }
    }
}

impl Forced {
    /// Reads a trace (its `tokens` records) or a list of ids between spaces, commas or line ends, with
    /// or without brackets around it.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is neither.
    pub fn read(path: &Path) -> Result<Self, ForcedError> {
        let io_error = |source| ForcedError::Io {
            path: path.to_owned(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(io_error)?);
        let first = loop {
            match reader.fill_buf().map_err(io_error)?.first() {
                Some(byte) if byte.is_ascii_whitespace() => reader.consume(1),
                first => break first.copied(),
            }
        };
        if first == Some(b'{') {
            return read_trace(path, reader);
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).map_err(io_error)?;
        let content = |message| ForcedError::Content {
            path: path.to_owned(),
            line: None,
            message,
        };
        parse_ids(&text).map(Self::List).map_err(content)
    }

    /// All forced tokens in order of their positions.
    pub fn tokens(&self) -> Vec<u32> {
        match self {
            Self::Trace { batches, .. } => batches
                .iter()
                .flat_map(|batch| batch.tokens.iter().copied())
                .collect(),
            Self::List(tokens) => tokens.clone(),
        }
    }
}

/// Token ids between spaces, commas or line ends, with or without brackets around them.
///
/// # Errors
///
/// The first thing that is no token id, or that there is none.
pub fn parse_ids(text: &str) -> Result<Vec<u32>, String> {
    let inner = text.trim();
    let inner = inner
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(inner);
    let parts = inner
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|part| !part.is_empty());
    let parse = |part: &str| {
        part.parse().map_err(|_| {
            format!("`{part}` is not a token id; expected a trace (.jsonl) or a list of ids")
        })
    };
    let ids: Vec<u32> = parts.map(parse).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        Err("has no token ids".to_owned())
    } else {
        Ok(ids)
    }
}

fn read_trace(path: &Path, reader: impl BufRead) -> Result<Forced, ForcedError> {
    let content = |line: Option<usize>, message: String| ForcedError::Content {
        path: path.to_owned(),
        line,
        message,
    };
    let mut batches: Vec<Batch> = Vec::new();
    let (mut fed, mut prompt) = (0usize, 0);
    for (line, number) in reader.split(b'\n').zip(1..) {
        let line = line.map_err(|source| ForcedError::Io {
            path: path.to_owned(),
            source,
        })?;
        // Most lines are other checkpoints, and need not be read whole.
        if !line.windows(8).any(|window| window == b"\"tokens\"") {
            continue;
        }
        let record = parse_line(&line)
            .map_err(|error| content(Some(number), error.to_string()))?
            .record;
        if record.checkpoint != TOKENS {
            continue;
        }
        if record.seq != 0 {
            return Err(content(
                Some(number),
                format!(
                    "tokens of sequence {}; only sequence 0 can be forced",
                    record.seq
                ),
            ));
        }
        if usize::try_from(record.token_idx) != Ok(fed) {
            return Err(content(
                Some(number),
                format!(
                    "tokens from position {} on, expected position {fed}: the trace must be of one run from its start",
                    record.token_idx
                ),
            ));
        }
        let tokens = ids(&record).map_err(|message| content(Some(number), message))?;
        let step = record.step.unwrap_or(batches.len() as u64);
        fed += tokens.len();
        if step == 0 || batches.is_empty() {
            prompt = fed;
        }
        batches.push(Batch { tokens, step });
    }
    if batches.is_empty() {
        let message = "has no `tokens` record; log one for each pass, or force a list of ids";
        return Err(content(None, message.to_owned()));
    }
    Ok(Forced::Trace { batches, prompt })
}

fn ids(record: &Record) -> Result<Vec<u32>, String> {
    if record.len() != Some(record.values.len()) {
        return Err(format!(
            "`tokens` has {} ids for the shape {:?}",
            record.values.len(),
            record.shape
        ));
    }
    let id = |value: &f64| {
        let id = *value as u32;
        if f64::from(id) == *value {
            Ok(id)
        } else {
            Err(format!("{value} is not a token id"))
        }
    };
    record.values.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn record(token_idx: i64, ids: &[u32], step: u64) -> String {
        format!(
            "{{\"checkpoint\":\"tokens\",\"team\":\"t\",\"token_idx\":{token_idx},\"dtype\":\"i32\",\"shape\":\"[{n}]\",\
             \"values\":{ids:?},\"n_tokens\":{n},\"step\":{step}}}\n",
            n = ids.len(),
        )
    }

    #[test]
    fn lists() {
        for text in ["[1, 2,3]", "1 2 3", "1,2\n3\n", "\n [1,\n2, 3 ] "] {
            assert_eq!(
                Forced::read(file(text).path()).unwrap(),
                Forced::List(vec![1, 2, 3]),
                "{text:?}"
            );
        }
        for text in ["", "[]", "1 2 x", "1 -2", "[1, 2"] {
            assert!(Forced::read(file(text).path()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_trace_with_a_prompt_in_two_batches() {
        let other = "{\"checkpoint\":\"embedding\",\"team\":\"t\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[1]\",\"values\":[0.5]}\n";
        let text = [
            record(0, &[5, 6], 0).as_str(),
            other,
            &record(2, &[7], 0),
            "not a record at all\n",
            &record(3, &[8], 1),
            &record(4, &[9], 2),
        ]
        .concat();
        let forced = Forced::read(file(&text).path()).unwrap();
        assert_eq!(forced.tokens(), [5, 6, 7, 8, 9]);
        let Forced::Trace { batches, prompt } = forced else {
            panic!("a trace")
        };
        assert_eq!(prompt, 3);
        let steps: Vec<_> = batches
            .iter()
            .map(|batch| (batch.step, batch.tokens.as_slice()))
            .collect();
        assert_eq!(steps, [(0, &[5, 6][..]), (0, &[7]), (1, &[8]), (2, &[9])]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let gap = record(0, &[5, 6], 0) + &record(3, &[7], 1);
        let message = Forced::read(file(&gap).path()).unwrap_err().to_string();
        assert!(
            message.contains(":2: tokens from position 3 on, expected position 2"),
            "{message}"
        );
        let none = "{\"checkpoint\":\"embedding\",\"team\":\"t\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[1]\",\"values\":[0.5]}\n";
        let message = Forced::read(file(none).path()).unwrap_err().to_string();
        assert!(message.contains("has no `tokens` record"), "{message}");
    }
}
