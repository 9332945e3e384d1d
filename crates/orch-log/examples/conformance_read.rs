//! Prints what a trace or a `run.json` decodes to, in the form of `spec/vectors/README.md`.
//!
//! `conformance_read NAME.jsonl` or `conformance_read NAME.run.json`

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use orch_log::format::{Dtype, Parsed, PayloadRef, RunFile, parse_line, parse_run};
use orch_log::{F8E4m3, F8E5m2};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: conformance_read NAME.jsonl | NAME.run.json");
        return ExitCode::from(2);
    };
    match decode(Path::new(&path)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{}: {message}", Path::new(&path).display());
            ExitCode::from(2)
        }
    }
}

pub(crate) fn decode(path: &Path) -> Result<String, String> {
    let content = fs::read(path).map_err(|error| error.to_string())?;
    if path.to_string_lossy().ends_with(".run.json") {
        return parse_run(&content)
            .map(|run| run_json(&run))
            .map_err(|error| error.to_string());
    }
    let mut rows = Vec::new();
    let lines = content.split(|byte| *byte == b'\n').zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.trim_ascii().is_empty()) {
        rows.push(match parse_line(line) {
            Ok(parsed) => record_json(&parsed, number, path),
            Err(_) => format!("{{\"line\":{number},\"error\":true}}"),
        });
    }
    Ok(format!("[\n{}\n]\n", rows.join(",\n")))
}

fn record_json(parsed: &Parsed, number: usize, path: &Path) -> String {
    let record = &parsed.record;
    let stats = record.stats.map(|stats| {
        format!(
            "{{\"n\":{},\"nan\":{},\"inf\":{},\"zero\":{},\"min\":{},\"max\":{},\"mean\":{},\"rms\":{}}}",
            stats.n,
            stats.nan,
            stats.inf,
            stats.zero,
            float(stats.min),
            float(stats.max),
            float(stats.mean),
            float(stats.rms)
        )
    });
    let shard = record.shard.map(|shard| {
        format!(
            "{{\"axis\":{},\"index\":{},\"count\":{}}}",
            shard.axis, shard.index, shard.count
        )
    });
    let payload = record.payload.as_ref().map(|payload| {
        let elements =
            elements(payload, path).map(|elements| list(&elements, |value| float(*value)));
        format!(
            "{{\"dtype\":\"{}\",\"elements\":{}}}",
            payload.dtype,
            or_null(elements)
        )
    });
    let mut row = format!("{{\"line\":{number}");
    let mut field = |name: &str, value: String| {
        let _ = write!(row, ",\"{name}\":{value}");
    };
    field("checkpoint", text(&record.checkpoint));
    field("team", text(&record.team));
    field("token_idx", record.token_idx.to_string());
    field("dtype", text(record.dtype.name()));
    field("shape", list(&record.shape, usize::to_string));
    field("values", list(&record.values, |value| float(*value)));
    field("n_tokens", record.n_tokens.to_string());
    field("step", or_null(record.step));
    field("seq", record.seq.to_string());
    field("occurrence", record.occurrence.to_string());
    field("token_axis", record.token_axis.to_string());
    field("rank", or_null(record.rank));
    field("world", or_null(record.world));
    field("shard", or_null(shard));
    field("op", or_null(record.op.as_deref().map(text)));
    field("src", list(&record.src, |name| text(name)));
    field("stats", or_null(stats));
    field(
        "sketch",
        or_null(
            record
                .sketch
                .map(|sketch| list(&sketch.s, |sum| float(*sum))),
        ),
    );
    field("payload", or_null(payload));
    field("ts_ns", or_null(record.ts_ns));
    field("source", or_null(record.source.as_deref().map(text)));
    field("file", or_null(record.file.as_deref().map(text)));
    field("source_line", or_null(record.line));
    field("lenient", parsed.lenient_numbers.to_string());
    row.push('}');
    row
}

fn run_json(file: &RunFile) -> String {
    let run = &file.run;
    let model = run.model.as_ref().map(|model| {
        format!(
            "{{\"path\":{},\"sha256\":{},\"architecture\":{},\"layers\":{},\"weights\":{}}}",
            text(&model.path),
            or_null(model.sha256.as_deref().map(text)),
            or_null(model.architecture.as_deref().map(text)),
            or_null(model.layers),
            or_null(model.weights.as_deref().map(text))
        )
    });
    let settings: Vec<String> = run
        .settings
        .iter()
        .map(|(key, value)| format!("{}:{}", text(key), text(value)))
        .collect();
    format!(
        "{{\"format_version\":{},\"team\":{},\"argv\":{},\"host\":{},\"pid\":{},\"started_at\":{},\"version\":{},\
         \"model\":{},\"prompt\":{},\"tokens\":{},\"device\":{},\"threads\":{},\"settings\":{{{}}}}}\n",
        file.format_version,
        text(&file.team),
        list(&file.argv, |argument| text(argument)),
        text(&file.host),
        file.pid,
        text(&file.started_at),
        or_null(run.version.as_deref().map(text)),
        or_null(model),
        or_null(run.prompt.as_deref().map(text)),
        list(&run.tokens, i64::to_string),
        or_null(run.device.as_deref().map(text)),
        or_null(run.threads),
        settings.join(",")
    )
}

/// All elements of a payload, widened; `None` when the file beside the trace does not hold them.
fn elements(payload: &PayloadRef, trace: &Path) -> Option<Vec<f64>> {
    if payload.file.contains(['/', '\\']) {
        return None;
    }
    let content = fs::read(trace.with_file_name(&payload.file)).ok()?;
    let from = usize::try_from(payload.offset).ok()?;
    let bytes = content.get(from..from.checked_add(usize::try_from(payload.nbytes).ok()?)?)?;
    macro_rules! decode {
        ($type:ty) => {
            decode!($type, |value: $type| value as f64)
        };
        ($type:ty, $widen:expr) => {{
            let (chunks, rest) = bytes.as_chunks::<{ size_of::<$type>() }>();
            let widen = $widen;
            rest.is_empty().then(|| {
                chunks
                    .iter()
                    .map(|chunk| widen(<$type>::from_le_bytes(*chunk)))
                    .collect()
            })
        }};
    }
    match payload.dtype {
        Dtype::F64 => decode!(f64),
        Dtype::F32 => decode!(f32),
        Dtype::F16 => decode!(half::f16, |value: half::f16| value.to_f64()),
        Dtype::Bf16 => decode!(half::bf16, |value: half::bf16| value.to_f64()),
        Dtype::F8E4m3 => decode!(u8, |bits| f64::from(F8E4m3(bits).to_f32())),
        Dtype::F8E5m2 => decode!(u8, |bits| f64::from(F8E5m2(bits).to_f32())),
        Dtype::I8 => decode!(i8),
        Dtype::I16 => decode!(i16),
        Dtype::I32 => decode!(i32),
        Dtype::I64 => decode!(i64),
        Dtype::U8 | Dtype::Bool => decode!(u8),
        Dtype::U16 => decode!(u16),
        Dtype::U32 => decode!(u32),
        Dtype::U64 => decode!(u64),
        Dtype::Ggml(_) => None,
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "\"nan\"".to_owned()
    } else {
        format!("\"{:016x}\"", value.to_bits())
    }
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(one).collect::<Vec<_>>().join(","))
}

fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}
