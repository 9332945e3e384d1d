//! Whole lines, sound and damaged, read by this crate and by `serde_json` with the standard library's numbers.

#![cfg(feature = "read")]

use orch_log::format::{Dtype, parse_line};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What both readers are asked for.
#[derive(Debug, PartialEq)]
struct Line {
    checkpoint: String,
    team: String,
    token_idx: i64,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bits; all NaN alike.
    values: Vec<u64>,
    n_tokens: Option<i64>,
    step: Option<i64>,
}

fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// This crate's reading, and whether numbers were written as JSON does not have them.
fn ours(line: &[u8]) -> Result<(Line, bool), String> {
    let parsed = parse_line(line).map_err(|error| error.to_string())?;
    let record = parsed.record;
    let line = Line {
        values: record.values.iter().copied().map(bits).collect(),
        n_tokens: record.has_n_tokens.then_some(record.n_tokens as i64),
        step: record.step.map(|step| step as i64),
        checkpoint: record.checkpoint,
        team: record.team,
        token_idx: record.token_idx,
        dtype: record.dtype,
        shape: record.shape,
    };
    Ok((line, parsed.lenient_numbers))
}

/// The other reading.
fn theirs(line: &[u8]) -> Result<Line, String> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let raw = |name: &str| fields.get(name).map(|value| value.get());
    let field = |name: &str| raw(name).ok_or(format!("no {name}"));
    let string = |name| serde_json::from_str::<String>(field(name)?).map_err(|e| e.to_string());
    let integer = |text: &str| text.parse::<i64>().map_err(|e| e.to_string());
    let count = |name| match raw(name) {
        None | Some("null") => Ok(None),
        Some(text) => match integer(text)? {
            ..0 => Err(format!("{name} is negative")),
            count => Ok(Some(count)),
        },
    };
    let dtype = Dtype::parse(&string("dtype")?).ok_or("no such type")?;
    let list: Vec<&RawValue> =
        serde_json::from_str(field("values")?).map_err(|error| error.to_string())?;
    let values: Result<Vec<u64>, String> = list
        .iter()
        .map(|value| number(value.get(), dtype.prints_as_f32()).map(bits))
        .collect();
    Ok(Line {
        checkpoint: string("checkpoint")?,
        team: string("team")?,
        token_idx: integer(field("token_idx")?)?,
        dtype,
        shape: shape(field("shape")?)?,
        values: values?,
        n_tokens: count("n_tokens")?,
        step: count("step")?,
    })
}

fn number(text: &str, as_f32: bool) -> Result<f64, String> {
    match text {
        "\"NaN\"" | "null" => return Ok(f64::NAN),
        "\"Infinity\"" => return Ok(f64::INFINITY),
        "\"-Infinity\"" => return Ok(f64::NEG_INFINITY),
        "true" => return Ok(1.0),
        "false" => return Ok(0.0),
        _ => {}
    }
    if as_f32 {
        text.parse::<f32>().map(f64::from)
    } else {
        text.parse::<f64>()
    }
    .map_err(|error| format!("{text}: {error}"))
}

/// An array of counts, or a string with one in brackets or parentheses.
fn shape(text: &str) -> Result<Vec<usize>, String> {
    let dim = |text: &str| {
        let is_count = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let dim = is_count.then(|| text.parse().ok()).flatten();
        dim.ok_or(format!("{text:?} is no dimension"))
    };
    if text.starts_with('[') {
        let dims: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        return dims
            .iter()
            .map(|value| match value.get().parse::<i64>() {
                Ok(whole @ 0..) => Ok(whole as usize),
                _ => Err(format!("{value} is no dimension")),
            })
            .collect();
    }
    let text: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let inner = match text.trim().as_bytes() {
        [b'[', .., b']'] | [b'(', .., b')'] => &text.trim()[1..text.trim().len() - 1],
        _ => return Err(format!("{text:?} is no shape")),
    };
    // Python's `(896,)`.
    let inner = inner.trim();
    match inner.strip_suffix(',').unwrap_or(inner) {
        "" => Ok(Vec::new()),
        dims => dims.split(',').map(|text| dim(text.trim())).collect(),
    }
}

/// A string as JSON: by the other writer, or escaped to the last character.
fn quoted() -> impl Strategy<Value = String> {
    (
        "[a-z_0-9]{0,24}|\\PC{0,9}|[\\x00-\\x7f]{0,9}",
        any::<bool>(),
    )
        .prop_map(|(text, escaped)| {
            if escaped {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                format!("\"{}\"", units.collect::<String>())
            } else {
                serde_json::to_string(&text).expect("strings are JSON")
            }
        })
}

/// A number as loggers print them, and as nobody does.
fn numeral() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        2 => any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
        4 => (-99.0f32..99.0).prop_map(|x| x.to_string()),
        2 => (-99.0f64..99.0).prop_map(|x| format!("{x:.6}")),
        2 => "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,26})?([eE][+-]?[0-9]{1,3})?",
        1 => prop::sample::select(vec!["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "null", "true"]).prop_map(str::to_owned),
    ]
}

fn shapes() -> impl Strategy<Value = String> {
    let dims = prop::collection::vec(
        prop_oneof![0usize..3000, any::<u32>().prop_map(|x| x as usize)],
        0..5,
    );
    (dims, 0..5).prop_map(|(dims, form)| {
        let list = |with: &str| {
            let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
            dims.join(with)
        };
        match form {
            0 => format!("[{}]", list(",")),
            1 => format!("\"[{}]\"", list(", ")),
            2 if !dims.is_empty() => format!("\"({},)\"", list(", ")),
            _ => format!("\"[{}]\"", list(",")),
        }
    })
}

/// A record's line: six fields and some more, in any order, with or without blanks.
fn lines() -> impl Strategy<Value = String> {
    let dtype = prop::sample::select(vec!["f32", "f16", "bf16", "f64", "i32", "q4_1", "F32"]);
    let count = |name: &'static str| {
        prop::option::of(0..100_000_u64)
            .prop_map(move |value| value.map(|value| (name.to_owned(), value.to_string())))
    };
    let fields = (
        (quoted(), quoted(), any::<i64>(), dtype, shapes()),
        prop::collection::vec(numeral(), 0..14),
        (count("n_tokens"), count("step")),
        prop::option::of(quoted().prop_map(|text| format!("{{\"a\":[{text},{{}},[1e5,-0]]}}"))),
    );
    let fields = fields.prop_map(
        |((checkpoint, team, token_idx, dtype, shape), values, more, unknown)| {
            let mut fields = vec![
                ("checkpoint".to_owned(), checkpoint),
                ("team".to_owned(), team),
                ("token_idx".to_owned(), token_idx.to_string()),
                ("dtype".to_owned(), format!("\"{dtype}\"")),
                ("shape".to_owned(), shape),
                ("values".to_owned(), format!("[{}]", values.join(","))),
            ];
            fields.extend([more.0, more.1].into_iter().flatten());
            fields.extend(unknown.map(|value| ("note".to_owned(), value)));
            fields
        },
    );
    let fields = fields.boxed();
    let in_order = prop_oneof![fields.clone(), fields.prop_shuffle()];
    let blank = prop::sample::select(vec!["", "", " ", "\t ", "  "]);
    (in_order, blank).prop_map(|(fields, blank)| {
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| format!("{blank}\"{name}\"{blank}:{blank}{value}"))
            .collect();
        format!("{blank}{{{}{blank}}}{blank}", fields.join(","))
    })
}

const FIELDS: [&str; 8] = [
    "\"checkpoint\"",
    "\"team\"",
    "\"token_idx\"",
    "\"dtype\"",
    "\"shape\"",
    "\"values\"",
    "\"n_tokens\"",
    "\"step\"",
];

/// What may happen to bytes on their way.
#[derive(Clone, Debug)]
enum Damage {
    Replaced(u8),
    Removed,
    Inserted(u8),
    CutOff,
    Doubled(usize),
}

fn damages() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let byte = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(b"{}[],:\"\\-+.eE0123 \n".to_vec())
        ]
    };
    let damage = prop_oneof![
        4 => byte().prop_map(Damage::Replaced),
        2 => Just(Damage::Removed),
        4 => byte().prop_map(Damage::Inserted),
        1 => Just(Damage::CutOff),
        1 => (1..30_usize).prop_map(Damage::Doubled),
    ];
    (any::<prop::sample::Index>(), damage)
}

fn damaged(line: &str, damages: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    let mut line = line.as_bytes().to_vec();
    for (index, damage) in damages {
        if line.is_empty() {
            break;
        }
        let at = index.index(line.len());
        match damage {
            Damage::Replaced(byte) => line[at] = *byte,
            Damage::Removed => _ = line.remove(at),
            Damage::Inserted(byte) => line.insert(at, *byte),
            Damage::CutOff => line.truncate(at),
            Damage::Doubled(length) => {
                let end = (at + length).min(line.len());
                let again = line[at..end].to_vec();
                line.splice(at..at, again);
            }
        }
    }
    line
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sound_lines(line in lines()) {
        let expected = theirs(line.as_bytes());
        prop_assert!(expected.is_ok(), "{:?}: {}", expected, line);
        let found = ours(line.as_bytes()).map(|(line, _)| line);
        prop_assert_eq!(found, expected, "{}", line);
    }

    #[test]
    fn damaged_lines(line in lines(), damages in prop::collection::vec(damages(), 1..4)) {
        let line = damaged(&line, &damages);
        let shown = String::from_utf8_lossy(&line);
        // Of a field that is there twice the last one counts; the others must be sound here, and need not be there.
        prop_assume!(FIELDS.iter().all(|name| shown.matches(name).count() < 2));
        // Half a surrogate pair is text here and an error there.
        prop_assume!(!shown.to_ascii_lowercase().contains("\\ud"));
        match (ours(&line), theirs(&line)) {
            (Ok((found, _)), Ok(expected)) => prop_assert_eq!(found, expected, "{}", shown),
            (Err(_), Err(_)) => {}
            // `null` and bare words for numbers.
            (Ok((_, true)), Err(_)) => {}
            (found, expected) => prop_assert!(false, "{:?}, not {:?}: {}", found, expected, shown),
        }
    }
}
