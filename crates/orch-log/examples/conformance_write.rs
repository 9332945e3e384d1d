//! Writes the trace that a description of `spec/vectors/` asks for.
//!
//! `conformance_write NAME.write.txt TRACE.jsonl`

#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use orch_log::format::{Dtype, Event};
use orch_log::{Detail, Element, F8E4m3, F8E5m2, Logged, Recorder, Settings, TensorView, Values};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [description, trace] = &arguments[..] else {
        eprintln!("usage: conformance_write NAME.write.txt TRACE.jsonl");
        return ExitCode::from(2);
    };
    match write(description, trace) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}: {message}", description.display());
            ExitCode::from(2)
        }
    }
}

/// One record's instructions.
#[derive(Default)]
struct Instructions {
    checkpoint: String,
    token_idx: i64,
    dtype: String,
    data: Vec<u64>,
    shape: Option<Vec<usize>>,
    strides: Option<Vec<isize>>,
    offset: usize,
    shape_text: Option<String>,
    stored_as: Option<String>,
    n_tokens: Option<usize>,
    step: Option<u64>,
    seq: u64,
    occurrence: u64,
    token_axis: usize,
    op: Option<String>,
    src: Vec<String>,
    source: Option<String>,
    shard: Option<Vec<usize>>,
}

pub(crate) fn write(description: &Path, trace: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(description).map_err(|error| error.to_string())?;
    let mut settings = Settings::new(trace, "");
    let mut recorder = None;
    let mut record = Instructions::default();
    for (line, number) in text.lines().zip(1..) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let at = |what: &str| format!("line {number}: {what}: `{line}`");
        match word {
            "" | "#" => {}
            "team" => settings.team = rest.to_owned(),
            "values" if rest == "all" => settings.values = Values::All,
            "values" => {
                settings.values = Values::First(number_in(rest).ok_or_else(|| at("no count"))?)
            }
            "detail" => {
                settings.detail = match rest {
                    "values" => Detail::Values,
                    "stats" => Detail::Stats,
                    "full" => Detail::Full,
                    _ => return Err(at("no detail level")),
                };
            }
            "end" => {
                if recorder.is_none() {
                    recorder = Some(
                        Recorder::create(settings.clone()).map_err(|error| error.to_string())?,
                    );
                }
                let recorder = recorder.as_ref().ok_or_else(|| at("no recorder"))?;
                log(recorder, &record).map_err(|what| at(&what))?;
                record = Instructions::default();
            }
            _ => instruct(&mut record, word, rest).ok_or_else(|| at("not understood"))?,
        }
    }
    Ok(())
}

fn instruct(record: &mut Instructions, word: &str, rest: &str) -> Option<()> {
    match word {
        "record" | "record_hex" => {
            let (token_idx, name) = rest.split_once(' ').unwrap_or((rest, ""));
            record.token_idx = number_in(token_idx)?;
            record.checkpoint = if word == "record" {
                name.to_owned()
            } else {
                from_hex(name)?
            };
        }
        "dtype" => record.dtype = rest.to_owned(),
        "data" => {
            record.data = rest
                .split_whitespace()
                .map(|bits| u64::from_str_radix(bits, 16).ok())
                .collect::<Option<_>>()?;
        }
        "shape" => record.shape = Some(numbers_in(rest)?),
        "strides" => record.strides = Some(numbers_in(rest)?),
        "offset" => record.offset = number_in(rest)?,
        "shape_text" => record.shape_text = Some(rest.to_owned()),
        "as" => record.stored_as = Some(rest.to_owned()),
        "n_tokens" => record.n_tokens = Some(number_in(rest)?),
        "step" => record.step = Some(number_in(rest)?),
        "seq" => record.seq = number_in(rest)?,
        "occurrence" => record.occurrence = number_in(rest)?,
        "token_axis" => record.token_axis = number_in(rest)?,
        "op" => record.op = Some(rest.to_owned()),
        "src" => record.src.push(rest.to_owned()),
        "source" => record.source = Some(rest.to_owned()),
        "shard" => record.shard = Some(numbers_in(rest)?),
        _ => return None,
    }
    Some(())
}

fn log(recorder: &Recorder, record: &Instructions) -> Result<(), String> {
    let src: Vec<&str> = record.src.iter().map(String::as_str).collect();
    let mut event = Event::new(&record.checkpoint, record.token_idx)
        .seq(record.seq)
        .occurrence(record.occurrence)
        .token_axis(record.token_axis)
        .src(&src);
    if let Some(text) = &record.shape_text {
        event = event.shape_text(text);
    }
    if let Some(name) = &record.stored_as {
        event = event.dtype(Dtype::parse(name).ok_or("no type")?);
    }
    if let Some(n_tokens) = record.n_tokens {
        event = event.n_tokens(n_tokens);
    }
    if let Some(step) = record.step {
        event = event.step(step);
    }
    if let Some(op) = &record.op {
        event = event.op(op);
    }
    if let Some(source) = &record.source {
        event = event.source(source);
    }
    if let Some([rank, world, axis, index, count]) = record.shard.as_deref() {
        event = event.shard(*rank as u64, *world as u64, *axis, *index, *count);
    }
    macro_rules! log_as {
        ($($name:literal => $from:expr,)*) => {
            match record.dtype.as_str() {
                $($name => {
                    let elements: Vec<_> = record.data.iter().copied().map($from).collect();
                    log_elements(recorder, &event, record, &elements)
                })*
                other => Err(format!("no type `{other}`")),
            }
        };
    }
    log_as! {
        "f64" => f64::from_bits,
        "f32" => |bits| f32::from_bits(bits as u32),
        "f16" => |bits| half::f16::from_bits(bits as u16),
        "bf16" => |bits| half::bf16::from_bits(bits as u16),
        "f8_e4m3" => |bits| F8E4m3(bits as u8),
        "f8_e5m2" => |bits| F8E5m2(bits as u8),
        "i8" => |bits| bits as i8,
        "i16" => |bits| bits as i16,
        "i32" => |bits| bits as i32,
        "i64" => |bits| bits as i64,
        "u8" => |bits| bits as u8,
        "u16" => |bits| bits as u16,
        "u32" => |bits| bits as u32,
        "u64" => |bits| bits,
        "bool" => |bits| bits != 0,
    }
}

fn log_elements<T: Element>(
    recorder: &Recorder,
    event: &Event<'_>,
    record: &Instructions,
    elements: &[T],
) -> Result<(), String> {
    let view = match (&record.shape, &record.strides) {
        (Some(shape), Some(strides)) => {
            TensorView::strided(elements, shape, strides, record.offset)
        }
        (Some(shape), None) => TensorView::shaped(elements, shape),
        _ => Some(TensorView::new(elements)),
    };
    match recorder.log(event, view.ok_or("the view reaches outside its data")?) {
        Logged::Written => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn number_in<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.trim().parse().ok()
}

fn numbers_in<N: std::str::FromStr>(text: &str) -> Option<Vec<N>> {
    text.split_whitespace().map(number_in).collect()
}

fn from_hex(text: &str) -> Option<String> {
    let bytes = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}
