//! Plants every mistake of `worker-orcd` and counts how often `parity explain` names its cause.
//!
//! Both programs are run as they are shipped. What the explanation may see is two traces and, if asked for, the
//! model file: the worker is told its mistake through its environment, and what it notes of that in its run file is
//! removed before anything reads it. Only this program knows which cause is right ([`expected`]).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints a table"
)]

mod case;
#[cfg(test)]
mod catalogue;
mod expected;
mod matrix;
mod programs;
mod table;

use clap::Parser;
use matrix::Matrix;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

/// How many of the planted mistakes are named?
#[derive(Debug, Parser)]
#[command(name = "zoo", after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Architectures of the tiny random models
    #[arg(long, value_delimiter = ',', default_values = ["llama", "qwen2", "qwen3", "gpt2"])]
    architectures: Vec<String>,

    /// Types that their weights are stored in
    #[arg(long, value_delimiter = ',', default_values = ["f32", "q8_0", "q4_1"])]
    weights: Vec<String>,

    /// Layers in which mistakes are planted, one at a time; `all` plants in all of them
    #[arg(long, value_delimiter = ',', default_values = ["1"])]
    layers: Vec<String>,

    /// Prompts
    #[arg(long, value_delimiter = '|', default_values = ["The quick brown fox jumps over the lazy dog"])]
    prompts: Vec<String>,

    /// Only mistakes whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Use this model instead of tiny ones
    #[arg(long, value_name = "GGUF")]
    model: Option<PathBuf>,

    /// A model whose tokenizer the tiny ones get
    #[arg(long, value_name = "GGUF", env = "NUMERIC_PARITY_MODEL")]
    donor: Option<PathBuf>,

    /// What the traces hold: `full`, `stats` (10 values, statistics and sketch), or `logits` (all of the logits alone)
    #[arg(long, default_value = "full")]
    detail: String,

    /// Explain from the traces alone
    #[arg(long)]
    without_model: bool,

    /// Fail unless at least this part is right first
    #[arg(long, value_name = "PART")]
    at_least: Option<f64>,

    /// Fail if more than this part is wrong
    #[arg(long, value_name = "PART")]
    at_most_wrong: Option<f64>,

    /// Print every case
    #[arg(short, long)]
    verbose: bool,

    /// Folder of `parity` and `worker-orcd` (default: this program's own)
    #[arg(long, value_name = "FOLDER")]
    bin: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  zoo --weights f32 -v
  zoo --weights f32 --without-model
  zoo --model SmolLM2-135M-Instruct.F32.gguf --layers 0,15,29 --only rope,mask
  zoo --detail stats --weights f32";

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let matrix = Matrix::new(args)?;
    let mut good = true;
    for model in matrix.models()? {
        let mut table = Table::new(&model.name);
        for reference in matrix.references(&model)? {
            let claimed = matrix.clean(&model, &reference)?;
            table.clean(claimed);
            matrix.each_case(&model, &reference, &mut |result| {
                if args.verbose {
                    println!("{result}");
                }
                table.add(result);
            })?;
        }
        println!("{table}");
        good &= table.is_good(args.at_least, args.at_most_wrong);
    }
    Ok(good)
}
