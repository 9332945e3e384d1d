//! A line of a trace to a record: strict, except where Python and C `printf` write otherwise.

use super::cursor::{Cursor, ParseError, Result};
use super::{Dtype, PayloadRef, Record, Shard};
use crate::summary::{PROJECTIONS, Sketch, Stats};

/// A record, and whether it was written by the letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The record.
    pub record: Record,
    /// True when a number was written as `null` or as a bare `NaN`, `Infinity`, `nan`, `inf`.
    pub lenient_numbers: bool,
}

/// Reads one line, with or without its line end.
///
/// # Errors
///
/// The column and what was expected there.
///
/// # Example
///
/// ```
/// use orch_log::format::parse_line;
/// let line = br#"{"checkpoint":"logits","team":"me","token_idx":7,"dtype":"f32","shape":"[2]","values":[0.1,nan]}"#;
/// let parsed = parse_line(line).expect("a record");
/// assert_eq!(parsed.record.values[0], f64::from(0.1f32));
/// assert!(parsed.lenient_numbers && parsed.record.values[1].is_nan());
/// ```
pub fn parse_line(line: &[u8]) -> std::result::Result<Parsed, ParseError> {
    let mut record = Record::default();
    let lenient_numbers = parse_line_into(line, &mut record)?;
    Ok(Parsed {
        record,
        lenient_numbers,
    })
}

/// As [`parse_line`], into a record whose memory is used again; returns `lenient_numbers`.
///
/// # Errors
///
/// As [`parse_line`]; `record` then holds whatever was read before.
pub fn parse_line_into(line: &[u8], record: &mut Record) -> Result<bool> {
    record.reset();
    let mut cursor = Cursor::new(line);
    let mut reader = Reader {
        record,
        scratch: String::new(),
        lenient: false,
        seen: 0,
        numbers_as: None,
    };
    cursor.object(|cursor, key| reader.field(cursor, key))?;
    if cursor.peek().is_some() {
        return cursor.expected("the end of the line");
    }
    reader.finish(&mut cursor, line)
}

const REQUIRED: [&str; 6] = [
    "checkpoint",
    "team",
    "token_idx",
    "dtype",
    "shape",
    "values",
];
const DTYPE_BIT: u32 = 1 << 3;

struct Reader<'r> {
    record: &'r mut Record,
    scratch: String,
    lenient: bool,
    /// One bit for each required field.
    seen: u32,
    /// Whether the numbers so far were read as `f32`, `None` before the first.
    numbers_as: Option<bool>,
}

impl Reader<'_> {
    fn field(&mut self, cursor: &mut Cursor<'_>, key: &str) -> Result<()> {
        if let Some(index) = REQUIRED.iter().position(|name| *name == key) {
            self.seen |= 1 << index;
        }
        match key {
            "checkpoint" => copy(
                &mut self.record.checkpoint,
                string(cursor, &mut self.scratch, key)?,
            ),
            "team" => copy(
                &mut self.record.team,
                string(cursor, &mut self.scratch, key)?,
            ),
            "token_idx" => self.record.token_idx = integer(cursor, key)?,
            "dtype" => self.record.dtype = dtype(cursor, &mut self.scratch, key)?,
            "shape" => self.shape(cursor)?,
            "values" => self.values(cursor)?,
            "stats" => self.stats(cursor)?,
            "sketch" => self.sketch(cursor)?,
            // Optional fields may be null: then they are absent.
            _ if cursor.eat_word("null") => {}
            "n_tokens" => {
                self.record.n_tokens = count(cursor, key)?;
                self.record.has_n_tokens = true;
            }
            "step" => self.record.step = Some(count(cursor, key)? as u64),
            "seq" => self.record.seq = count(cursor, key)? as u64,
            "occurrence" => self.record.occurrence = count(cursor, key)? as u64,
            "token_axis" => self.record.token_axis = count(cursor, key)?,
            "rank" => self.record.rank = Some(count(cursor, key)? as u64),
            "world" => self.record.world = Some(count(cursor, key)? as u64),
            "shard" => self.record.shard = Some(shard(cursor)?),
            "op" => self.record.op = Some(string(cursor, &mut self.scratch, key)?.to_owned()),
            "src" => {
                self.record.src.clear();
                cursor.array(|cursor| {
                    self.record
                        .src
                        .push(string(cursor, &mut self.scratch, key)?.to_owned());
                    Ok(())
                })?;
            }
            "payload" => self.record.payload = Some(self.payload(cursor)?),
            "ts_ns" => self.record.ts_ns = Some(count(cursor, key)? as u64),
            "source" => {
                self.record.source = Some(string(cursor, &mut self.scratch, key)?.to_owned())
            }
            "file" => self.record.file = Some(string(cursor, &mut self.scratch, key)?.to_owned()),
            "line" => self.record.line = u32::try_from(count(cursor, key)?).ok(),
            _ => cursor.skip()?,
        }
        Ok(())
    }

    fn finish(self, cursor: &mut Cursor<'_>, line: &[u8]) -> Result<bool> {
        if let Some(index) = (0..REQUIRED.len()).find(|index| self.seen & 1 << index == 0) {
            return cursor.error(format!("field `{}` is missing", REQUIRED[index]));
        }
        let as_f32 = self.record.dtype.prints_as_f32();
        if self
            .numbers_as
            .is_some_and(|read_as_f32| read_as_f32 != as_f32)
        {
            // `values` came before a `dtype` that reads them otherwise: once more, knowing it.
            let dtype = self.record.dtype;
            self.record.reset();
            self.record.dtype = dtype;
            let mut reader = Reader {
                seen: DTYPE_BIT,
                numbers_as: None,
                lenient: false,
                scratch: String::new(),
                record: self.record,
            };
            let mut cursor = Cursor::new(line);
            cursor.object(|cursor, key| {
                if key == "dtype" {
                    cursor.skip()
                } else {
                    reader.field(cursor, key)
                }
            })?;
            return Ok(reader.lenient);
        }
        if let Some(shard) = &mut self.record.shard {
            shard.rank = self.record.rank.unwrap_or(shard.index as u64);
            shard.world = self.record.world.unwrap_or(shard.count as u64);
        }
        Ok(self.lenient)
    }

    fn as_f32(&mut self) -> bool {
        *self
            .numbers_as
            .get_or_insert(self.record.dtype.prints_as_f32())
    }

    fn values(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let as_f32 = self.as_f32();
        self.record.values.clear();
        cursor.array(|cursor| {
            self.record
                .values
                .push(number(cursor, as_f32, &mut self.lenient)?);
            Ok(())
        })
    }

    fn shape(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        self.record.shape.clear();
        if cursor.peek() == Some(b'[') {
            return cursor.array(|cursor| {
                self.record.shape.push(count(cursor, "shape")?);
                Ok(())
            });
        }
        let at = cursor.position();
        let text = string(cursor, &mut self.scratch, "shape")?;
        if !shape_from_text(text, &mut self.record.shape) {
            return cursor.error_at(
                at,
                format!(
                    "expected a shape such as `[2,896]`, found `{}`",
                    text.escape_debug()
                ),
            );
        }
        Ok(())
    }

    fn stats(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.eat_word("null") {
            return Ok(());
        }
        let as_f32 = self.as_f32();
        let mut stats = Stats::default();
        cursor.object(|cursor, key| {
            match key {
                "n" => stats.n = count(cursor, key)? as u64,
                "nan" => stats.nan = count(cursor, key)? as u64,
                "inf" => stats.inf = count(cursor, key)? as u64,
                "zero" => stats.zero = count(cursor, key)? as u64,
                "min" => stats.min = number(cursor, as_f32, &mut self.lenient)?,
                "max" => stats.max = number(cursor, as_f32, &mut self.lenient)?,
                "mean" => stats.mean = number(cursor, false, &mut self.lenient)?,
                "rms" => stats.rms = number(cursor, false, &mut self.lenient)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        self.record.stats = Some(stats);
        Ok(())
    }

    /// A sketch of a version that this crate does not know is no sketch.
    fn sketch(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.eat_word("null") {
            return Ok(());
        }
        let at = cursor.position();
        let (mut version, mut sums, mut found) = (None, [0.0; PROJECTIONS], 0usize);
        cursor.object(|cursor, key| {
            match key {
                "v" => version = Some(integer(cursor, key)?),
                "s" => {
                    found = 0;
                    cursor.array(|cursor| {
                        let sum = number(cursor, false, &mut self.lenient)?;
                        if let Some(slot) = sums.get_mut(found) {
                            *slot = sum;
                        }
                        found += 1;
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if version == Some(1) {
            if found != PROJECTIONS {
                return cursor.error_at(
                    at,
                    format!("expected {PROJECTIONS} numbers in `sketch.s`, found {found}"),
                );
            }
            self.record.sketch = Some(Sketch { s: sums });
        }
        Ok(())
    }

    fn payload(&mut self, cursor: &mut Cursor<'_>) -> Result<PayloadRef> {
        let at = cursor.position();
        let (mut file, mut offset, mut nbytes, mut of_payload) = (None, None, None, None);
        cursor.object(|cursor, key| {
            match key {
                "file" => file = Some(string(cursor, &mut self.scratch, key)?.to_owned()),
                "offset" => offset = Some(count(cursor, key)? as u64),
                "nbytes" => nbytes = Some(count(cursor, key)? as u64),
                "dtype" => of_payload = Some(dtype(cursor, &mut self.scratch, key)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        match (file, offset, nbytes) {
            (Some(file), Some(offset), Some(nbytes)) => Ok(PayloadRef {
                file,
                offset,
                nbytes,
                dtype: of_payload.unwrap_or(self.record.dtype),
            }),
            _ => cursor.error_at(at, "`payload` needs `file`, `offset` and `nbytes`"),
        }
    }
}

fn copy(to: &mut String, from: &str) {
    to.clear();
    to.push_str(from);
}

fn string<'c: 's, 's>(
    cursor: &mut Cursor<'c>,
    scratch: &'s mut String,
    field: &str,
) -> Result<&'s str> {
    if cursor.peek() != Some(b'"') {
        return cursor.expected(&format!("a string for `{field}`"));
    }
    cursor.string(scratch)
}

fn dtype(cursor: &mut Cursor<'_>, scratch: &mut String, field: &str) -> Result<Dtype> {
    cursor.peek();
    let at = cursor.position();
    let name = string(cursor, scratch, field)?;
    match Dtype::parse(name) {
        Some(dtype) => Ok(dtype),
        None => cursor.error_at(
            at,
            format!(
                "expected the name of a type such as `f32`, found `{}`",
                name.escape_debug()
            ),
        ),
    }
}

fn integer(cursor: &mut Cursor<'_>, field: &str) -> Result<i64> {
    cursor.peek();
    let at = cursor.position();
    match cursor.eat_number() {
        Some(number) => number.as_i64().map_or_else(
            || cursor.error_at(at, format!("`{field}` is not an integer of 64 bits")),
            Ok,
        ),
        None => cursor.expected(&format!("an integer for `{field}`")),
    }
}

fn count(cursor: &mut Cursor<'_>, field: &str) -> Result<usize> {
    cursor.peek();
    let at = cursor.position();
    match usize::try_from(integer(cursor, field)?) {
        Ok(count) => Ok(count),
        Err(_) => cursor.error_at(at, format!("`{field}` is negative")),
    }
}

fn shard(cursor: &mut Cursor<'_>) -> Result<Shard> {
    let mut shard = Shard {
        rank: 0,
        world: 0,
        axis: 0,
        index: 0,
        count: 1,
    };
    cursor.object(|cursor, key| {
        match key {
            "axis" => shard.axis = count(cursor, key)?,
            "index" => shard.index = count(cursor, key)?,
            "count" => shard.count = count(cursor, key)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(shard)
}

#[inline]
fn number(cursor: &mut Cursor<'_>, as_f32: bool, lenient: &mut bool) -> Result<f64> {
    match cursor.eat_number() {
        Some(number) => Ok(if as_f32 {
            number.as_f32()
        } else {
            number.as_f64()
        }),
        None => special(cursor, lenient),
    }
}

#[cold]
fn special(cursor: &mut Cursor<'_>, lenient: &mut bool) -> Result<f64> {
    for (text, value) in [
        ("\"NaN\"", f64::NAN),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
    ] {
        if cursor.eat_word(text) {
            return Ok(value);
        }
    }
    const WORDS: [(&str, f64); 12] = [
        ("null", f64::NAN),
        ("NaN", f64::NAN),
        ("nan", f64::NAN),
        ("-nan", f64::NAN),
        ("-NaN", f64::NAN),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("true", 1.0),
        ("false", 0.0),
        ("-NAN", f64::NAN),
    ];
    for (word, value) in WORDS {
        if cursor.eat_word(word) {
            *lenient = true;
            return Ok(value);
        }
    }
    cursor.expected("a number")
}

/// `[1,896]`, with any blanks; also Python's `(1, 896)` and `(896,)`.
fn shape_from_text(text: &str, shape: &mut Vec<usize>) -> bool {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .or_else(|| {
            text.strip_prefix('(')
                .and_then(|text| text.strip_suffix(')'))
        });
    let Some(inner) = inner else { return false };
    let inner = inner.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    if inner.is_empty() {
        return true;
    }
    inner.split(',').all(|dim| {
        let dim = dim.trim();
        let digits = dim.bytes().all(|byte| byte.is_ascii_digit());
        match dim.parse() {
            Ok(dim) if digits => {
                shape.push(dim);
                true
            }
            _ => false,
        }
    })
}
