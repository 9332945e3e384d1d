//! A line of a trace to a record: strict, except where Python and C `printf` write otherwise.

use super::Record;
use super::cursor::{Cursor, ParseError, Result};
use super::parts;

/// A record, and whether it was written by the letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The record.
    pub record: Record,
    /// True when a number was written as `null` or as a bare `NaN`, `Infinity`, `nan`, `inf`, `true` or `false`.
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
    // The type decides how numbers are read, and is written before them. Where it comes after them, the
    // line is read once more.
    record.reset();
    let mut reader = Reader::new(record);
    let mut cursor = Cursor::new(line);
    reader.read(&mut cursor)?;
    if reader
        .numbers_as
        .is_some_and(|as_f32| as_f32 != reader.record.dtype.prints_as_f32())
    {
        let dtype = reader.record.dtype;
        reader = Reader::new(record);
        reader.record.reset();
        reader.record.dtype = dtype;
        reader.dtype_is_known = true;
        cursor = Cursor::new(line);
        reader.read(&mut cursor)?;
    }
    Ok(reader.lenient)
}

/// What a line that cannot be read may still hold: the rest of it from its last `{"checkpoint":` on.
///
/// When a process was stopped in the middle of a record, and another one wrote next, a whole record
/// follows the half one on the same line.
///
/// # Example
///
/// ```
/// use orch_log::format::{parse_line, resync};
/// let line = br#"{"checkpoint":"a","team":"me","tok{"checkpoint":"b","team":"me","token_idx":0,"dtype":"f32","shape":"[]","values":[1]}"#;
/// assert!(parse_line(line).is_err());
/// let rest = resync(line).expect("a second start");
/// assert_eq!(parse_line(rest).expect("a record").record.checkpoint, "b");
/// ```
pub fn resync(line: &[u8]) -> Option<&[u8]> {
    const START: &[u8] = b"{\"checkpoint\":";
    let last = line
        .windows(START.len())
        .rposition(|window| window == START)?;
    (last > 0).then(|| &line[last..])
}

const CHECKPOINT: u32 = 1;
const TEAM: u32 = 1 << 1;
const TOKEN_IDX: u32 = 1 << 2;
const DTYPE: u32 = 1 << 3;
const SHAPE: u32 = 1 << 4;
const VALUES: u32 = 1 << 5;
const REQUIRED: [&str; 6] = [
    "checkpoint",
    "team",
    "token_idx",
    "dtype",
    "shape",
    "values",
];

struct Reader<'r> {
    record: &'r mut Record,
    /// Holds strings with escapes.
    scratch: String,
    lenient: bool,
    /// One bit for each required field.
    seen: u32,
    /// Whether the numbers so far were read as `f32`; `None` before the first.
    numbers_as: Option<bool>,
    /// Whether the type was taken from an earlier reading of the same line.
    dtype_is_known: bool,
    payload_has_dtype: bool,
}

impl<'r> Reader<'r> {
    fn new(record: &'r mut Record) -> Self {
        Self {
            record,
            scratch: String::new(),
            lenient: false,
            seen: 0,
            numbers_as: None,
            dtype_is_known: false,
            payload_has_dtype: false,
        }
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        cursor.object(|cursor, key| self.field(cursor, key))?;
        if cursor.peek().is_some() {
            return cursor.expected("the end of the line");
        }
        if let Some(index) = (0..REQUIRED.len()).find(|index| self.seen & 1 << index == 0) {
            return cursor.error(format!("field `{}` is missing", REQUIRED[index]));
        }
        if let Some(payload) = self
            .record
            .payload
            .as_mut()
            .filter(|_| !self.payload_has_dtype)
        {
            payload.dtype = self.record.dtype;
        }
        if let Some(shard) = &mut self.record.shard {
            shard.rank = self.record.rank.unwrap_or(shard.index as u64);
            shard.world = self.record.world.unwrap_or(shard.count as u64);
        }
        Ok(())
    }

    fn field(&mut self, cursor: &mut Cursor<'_>, key: &str) -> Result<()> {
        match key {
            "checkpoint" => {
                self.seen |= CHECKPOINT;
                self.record.checkpoint.clear();
                self.record
                    .checkpoint
                    .push_str(cursor.string_field(&mut self.scratch, key)?);
            }
            "team" => {
                self.seen |= TEAM;
                self.record.team.clear();
                self.record
                    .team
                    .push_str(cursor.string_field(&mut self.scratch, key)?);
            }
            "token_idx" => {
                self.seen |= TOKEN_IDX;
                self.record.token_idx = cursor.integer_field(key)?;
            }
            "dtype" => {
                self.seen |= DTYPE;
                let dtype = parts::dtype(cursor, &mut self.scratch, key)?;
                if !self.dtype_is_known {
                    self.record.dtype = dtype;
                }
            }
            "shape" => {
                self.seen |= SHAPE;
                self.record.shape.clear();
                parts::shape(cursor, &mut self.scratch, &mut self.record.shape)?;
            }
            "values" => {
                self.seen |= VALUES;
                self.record.values.clear();
                let as_f32 = self.as_f32();
                parts::numbers(cursor, as_f32, &mut self.lenient, &mut self.record.values)?;
            }
            _ => return self.optional_field(cursor, key),
        }
        Ok(())
    }

    fn optional_field(&mut self, cursor: &mut Cursor<'_>, key: &str) -> Result<()> {
        if cursor.eat_word("null") {
            return Ok(());
        }
        match key {
            "n_tokens" => {
                self.record.n_tokens = cursor.count_field(key)?;
                self.record.has_n_tokens = true;
            }
            "step" => self.record.step = Some(cursor.count_field(key)? as u64),
            "seq" => self.record.seq = cursor.count_field(key)? as u64,
            "occurrence" => self.record.occurrence = cursor.count_field(key)? as u64,
            "token_axis" => self.record.token_axis = cursor.count_field(key)?,
            "rank" => self.record.rank = Some(cursor.count_field(key)? as u64),
            "world" => self.record.world = Some(cursor.count_field(key)? as u64),
            "shard" => self.record.shard = Some(parts::shard(cursor)?),
            "op" => self.record.op = Some(cursor.string_field(&mut self.scratch, key)?.to_owned()),
            "src" => {
                self.record.src.clear();
                cursor.array(|cursor| {
                    self.record
                        .src
                        .push(cursor.string_field(&mut self.scratch, key)?.to_owned());
                    Ok(())
                })?;
            }
            "stats" => {
                let as_f32 = self.as_f32();
                self.record.stats = Some(parts::stats(cursor, as_f32, &mut self.lenient)?);
            }
            "sketch" => self.record.sketch = parts::sketch(cursor, &mut self.lenient)?,
            "payload" => {
                let (payload, has_dtype) = parts::payload(cursor, &mut self.scratch)?;
                self.record.payload = Some(payload);
                self.payload_has_dtype = has_dtype;
            }
            "ts_ns" => self.record.ts_ns = Some(cursor.count_field(key)? as u64),
            "source" => {
                self.record.source = Some(cursor.string_field(&mut self.scratch, key)?.to_owned())
            }
            "file" => {
                self.record.file = Some(cursor.string_field(&mut self.scratch, key)?.to_owned())
            }
            "line" => self.record.line = u32::try_from(cursor.count_field(key)?).ok(),
            _ => cursor.skip()?,
        }
        Ok(())
    }

    fn as_f32(&mut self) -> bool {
        *self
            .numbers_as
            .get_or_insert(self.record.dtype.prints_as_f32())
    }
}
