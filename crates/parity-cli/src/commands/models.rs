//! `parity models`.

use crate::args::{Convert, ModelsCommand, Tiny};
use crate::failure::Failure;
use crate::output;
use ggml_capture::models::{self, Inspection, TinyOptions};
use parity::exit_code;
use parity::report::words::count;
use std::fmt::Display;
use std::io::Write;

/// Looks at, converts or makes a model.
pub(crate) fn run(command: ModelsCommand) -> Result<u8, Failure> {
    match command {
        ModelsCommand::Inspect { model } => inspect(&models::inspect(&model)?)?,
        ModelsCommand::Convert(args) => convert(&args)?,
        ModelsCommand::Tiny(args) => tiny(&args)?,
    }
    Ok(exit_code::AGREES)
}

fn inspect(model: &Inspection) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut line = |name: &str, value: Option<&dyn Display>| match value {
        Some(value) => writeln!(out, "{name:<16}{value}"),
        None => Ok(()),
    };
    line("architecture", Some(&model.architecture))?;
    let name = model.name.as_ref().map(|name| name.escape_debug());
    line("name", name.as_ref().map(|name| name as &dyn Display))?;
    line("layers", model.layers.as_ref().map(|x| x as &dyn Display))?;
    line(
        "embedding",
        model.embedding.as_ref().map(|x| x as &dyn Display),
    )?;
    let heads = model.heads.map(|heads| match model.heads_kv {
        Some(kv) if kv != heads => format!("{heads}, of keys and values {kv}"),
        _ => heads.to_string(),
    });
    line("heads", heads.as_ref().map(|x| x as &dyn Display))?;
    line("context", model.context.as_ref().map(|x| x as &dyn Display))?;
    line(
        "rope base",
        model.rope_freq_base.as_ref().map(|x| x as &dyn Display),
    )?;
    line(
        "norm epsilon",
        model.norm_epsilon.as_ref().map(|x| x as &dyn Display),
    )?;
    line(
        "vocabulary",
        model.vocabulary.as_ref().map(|x| x as &dyn Display),
    )?;
    let tokenizer = model.tokenizer.as_ref().map(|(kind, pre)| match pre {
        Some(pre) => format!("{kind}, {pre}"),
        None => kind.clone(),
    });
    line("tokenizer", tokenizer.as_ref().map(|x| x as &dyn Display))?;
    line(
        "weights",
        model.weights().as_ref().map(|x| x as &dyn Display),
    )?;
    for (name, kind) in &model.types {
        writeln!(
            out,
            "  {name:<14}{} tensors, {} elements, {} bytes",
            count(kind.tensors as u64),
            count(kind.elements),
            count(kind.bytes)
        )?;
    }
    Ok(())
}

fn convert(args: &Convert) -> Result<(), Failure> {
    output::is_no_input(&args.output, [args.input.as_path()])?;
    models::convert(&args.input, &args.output, args.weights())?;
    written(&args.output)
}

fn tiny(args: &Tiny) -> Result<(), Failure> {
    let options = TinyOptions {
        seed: args.seed,
        layers: usize::from(args.layers),
        vocabulary: args.vocabulary as usize,
        half: args.half,
    };
    output::is_no_input(&args.output, [args.donor.as_path()])?;
    models::tiny(args.architecture(), &options, &args.donor, &args.output)?;
    written(&args.output)
}

fn written(path: &std::path::Path) -> Result<(), Failure> {
    let bytes = std::fs::metadata(path)?.len();
    writeln!(
        std::io::stdout().lock(),
        "{}: {} bytes",
        path.display(),
        count(bytes)
    )?;
    Ok(())
}
