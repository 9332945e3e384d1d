//! `worker-orcd tokenize`.

use std::io::{self, BufRead, Write};

use worker_orcd::gguf::GgufFile;
use worker_orcd::tokenizer::Tokenizer;

use super::Failure;
use super::args::Tokenize;

pub(crate) fn run(args: &Tokenize) -> Result<(), Failure> {
    let file = GgufFile::open(&args.model)?;
    let tokenizer = Tokenizer::from_metadata(file.metadata())?;
    let mut out = io::stdout().lock();
    if let Some(text) = &args.text {
        return Ok(print(&mut out, &tokenizer.encode(text)?)?);
    }
    for (line, number) in io::stdin().lock().lines().zip(1..) {
        let text: String = serde_json::from_str(&line?).map_err(|error| {
            format!("standard input, line {number}: not a text as a JSON string: {error}")
        })?;
        print(&mut out, &tokenizer.encode(&text)?)?;
    }
    Ok(())
}

/// `[1, 2, 3]`
fn print(out: &mut impl Write, ids: &[u32]) -> io::Result<()> {
    writeln!(out, "{ids:?}")
}
