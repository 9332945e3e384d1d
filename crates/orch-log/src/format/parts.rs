//! The values of a record's fields that are more than a string or a count.

use super::cursor::{Cursor, Result};
use super::{Dtype, PayloadRef, Shard};
use crate::summary::{PROJECTIONS, Sketch, Stats};

pub(super) fn dtype(cursor: &mut Cursor<'_>, scratch: &mut String, field: &str) -> Result<Dtype> {
    cursor.peek();
    let at = cursor.position();
    let name = cursor.string_field(scratch, field)?;
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

/// `"[1,896]"` or `[1,896]`.
pub(super) fn shape(
    cursor: &mut Cursor<'_>,
    scratch: &mut String,
    shape: &mut Vec<usize>,
) -> Result<()> {
    if cursor.peek() == Some(b'[') {
        return cursor.array(|cursor| {
            shape.push(cursor.count_field("shape")?);
            Ok(())
        });
    }
    let at = cursor.position();
    let text = cursor.string_field(scratch, "shape")?;
    if !plain_shape(text.as_bytes(), shape) && shape_from_text(text, shape).is_none() {
        let found = text.escape_debug();
        return cursor.error_at(
            at,
            format!("expected a shape such as `[2,896]`, found `{found}`"),
        );
    }
    Ok(())
}

/// `[1,896]` as the loggers write it; false, with nothing added, for anything else.
fn plain_shape(text: &[u8], shape: &mut Vec<usize>) -> bool {
    // Longer numbers might overflow 64 bits.
    const MAX_DIGITS: u32 = 18;
    let [b'[', inner @ .., b']'] = text else {
        return false;
    };
    let (mut dim, mut digits) = (0u64, 0);
    for byte in inner.iter().chain(b",") {
        match (byte, usize::try_from(dim)) {
            (b'0'..=b'9', _) if digits < MAX_DIGITS => {
                dim = dim * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            (b',', Ok(whole)) if digits > 0 => {
                shape.push(whole);
                (dim, digits) = (0, 0);
            }
            _ => {
                shape.clear();
                return false;
            }
        }
    }
    true
}

/// `[1,896]`, with any blanks; also Python's `(1, 896)` and `(896,)`.
fn shape_from_text(text: &str, shape: &mut Vec<usize>) -> Option<()> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .or_else(|| {
            text.strip_prefix('(')
                .and_then(|text| text.strip_suffix(')'))
        })?
        .trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    if inner.is_empty() {
        return Some(());
    }
    for dim in inner.split(',').map(str::trim) {
        // `parse` alone would take a plus sign.
        let digits = dim.bytes().all(|byte| byte.is_ascii_digit());
        shape.push(dim.parse().ok().filter(|_| digits)?);
    }
    Some(())
}

pub(super) fn numbers(
    cursor: &mut Cursor<'_>,
    as_f32: bool,
    lenient: &mut bool,
    into: &mut Vec<f64>,
) -> Result<()> {
    cursor.array(|cursor| {
        into.push(number(cursor, as_f32, lenient)?);
        Ok(())
    })
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

/// What stands for numbers that JSON does not have.
#[cold]
fn special(cursor: &mut Cursor<'_>, lenient: &mut bool) -> Result<f64> {
    const BY_THE_LETTER: [(&str, f64); 3] = [
        ("\"NaN\"", f64::NAN),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
    ];
    // Python's `json`, C's `printf`, JavaScript's `JSON.stringify`.
    const OTHERWISE: [(&str, f64); 12] = [
        ("NaN", f64::NAN),
        ("nan", f64::NAN),
        ("-nan", f64::NAN),
        ("-NaN", f64::NAN),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("null", f64::NAN),
        ("true", 1.0),
        ("false", 0.0),
        ("-NAN", f64::NAN),
    ];
    if let Some((_, value)) = BY_THE_LETTER.iter().find(|(word, _)| cursor.eat_word(word)) {
        return Ok(*value);
    }
    match OTHERWISE.iter().find(|(word, _)| cursor.eat_word(word)) {
        Some((_, value)) => {
            *lenient = true;
            Ok(*value)
        }
        None => cursor.expected("a number"),
    }
}

pub(super) fn shard(cursor: &mut Cursor<'_>) -> Result<Shard> {
    let mut shard = Shard {
        rank: 0,
        world: 0,
        axis: 0,
        index: 0,
        count: 1,
    };
    cursor.object(|cursor, key| {
        match key {
            "axis" => shard.axis = cursor.count_field(key)?,
            "index" => shard.index = cursor.count_field(key)?,
            "count" => shard.count = cursor.count_field(key)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(shard)
}

/// The extremes are elements, and are read as such.
pub(super) fn stats(cursor: &mut Cursor<'_>, as_f32: bool, lenient: &mut bool) -> Result<Stats> {
    let mut stats = Stats::default();
    cursor.object(|cursor, key| {
        match key {
            "n" => stats.n = cursor.count_field(key)? as u64,
            "nan" => stats.nan = cursor.count_field(key)? as u64,
            "inf" => stats.inf = cursor.count_field(key)? as u64,
            "zero" => stats.zero = cursor.count_field(key)? as u64,
            "min" => stats.min = number(cursor, as_f32, lenient)?,
            "max" => stats.max = number(cursor, as_f32, lenient)?,
            "mean" => stats.mean = number(cursor, false, lenient)?,
            "rms" => stats.rms = number(cursor, false, lenient)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(stats)
}

/// A sketch, or `None` for one of a version that this crate does not know, whatever that looks like.
pub(super) fn sketch(cursor: &mut Cursor<'_>, lenient: &mut bool) -> Result<Option<Sketch>> {
    let (mut version, mut place, mut sketch) = (None, None, None);
    cursor.peek();
    let at = cursor.position();
    cursor.object(|cursor, key| {
        match key {
            "v" => version = Some(cursor.integer_field(key)?),
            "s" if version == Some(1) => sketch = Some(sums(cursor, lenient)?),
            "s" => {
                // Before its version it may be anything: come back when that is known.
                place = Some(cursor.position());
                cursor.skip()?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    if version == Some(1) && sketch.is_none() {
        let Some(place) = place else {
            return cursor.error_at(at, "`sketch` needs `s`");
        };
        sketch = Some(cursor.at(place, |cursor| sums(cursor, lenient))?);
    }
    Ok(sketch)
}

fn sums(cursor: &mut Cursor<'_>, lenient: &mut bool) -> Result<Sketch> {
    let mut sketch = Sketch::default();
    let mut found = 0;
    cursor.peek();
    let at = cursor.position();
    cursor.array(|cursor| {
        let sum = number(cursor, false, lenient)?;
        if let Some(slot) = sketch.s.get_mut(found) {
            *slot = sum;
        }
        found += 1;
        Ok(())
    })?;
    if found != PROJECTIONS {
        return cursor.error_at(
            at,
            format!("expected {PROJECTIONS} numbers in `sketch.s`, found {found}"),
        );
    }
    Ok(sketch)
}

/// A payload, and whether it names its type; otherwise it has the record's, which may not be known yet.
pub(super) fn payload(cursor: &mut Cursor<'_>, scratch: &mut String) -> Result<(PayloadRef, bool)> {
    cursor.peek();
    let at = cursor.position();
    let (mut file, mut offset, mut nbytes, mut of_payload) = (None, None, None, None);
    cursor.object(|cursor, key| {
        match key {
            "file" => file = Some(cursor.string_field(scratch, key)?.to_owned()),
            "offset" => offset = Some(cursor.count_field(key)? as u64),
            "nbytes" => nbytes = Some(cursor.count_field(key)? as u64),
            "dtype" => of_payload = Some(dtype(cursor, scratch, key)?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    match (file, offset, nbytes) {
        (Some(file), Some(offset), Some(nbytes)) => {
            let payload = PayloadRef {
                file,
                offset,
                nbytes,
                dtype: of_payload.unwrap_or(Dtype::F32),
            };
            Ok((payload, of_payload.is_some()))
        }
        _ => cursor.error_at(at, "`payload` needs `file`, `offset` and `nbytes`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What both readers make of a text; the plain one may pass, but never say anything else.
    fn read(text: &str) -> (Option<Vec<usize>>, Option<Vec<usize>>) {
        let (mut plain, mut any) = (Vec::new(), Vec::new());
        let is_plain = plain_shape(text.as_bytes(), &mut plain);
        assert!(is_plain || plain.is_empty(), "{text:?} left {plain:?}");
        let is_shape = shape_from_text(text, &mut any).is_some();
        (is_plain.then_some(plain), is_shape.then_some(any))
    }

    proptest! {
        #[test]
        fn shapes_as_loggers_write_them(dims in proptest::collection::vec(0..10_usize.pow(9), 1..6), shift in 0..9_u32) {
            let dims: Vec<usize> = dims.into_iter().map(|dim| dim.saturating_mul(10_usize.pow(shift))).collect();
            let text: Vec<String> = dims.iter().map(usize::to_string).collect();
            let (plain, any) = read(&format!("[{}]", text.join(",")));
            prop_assert_eq!(&plain, &any);
            prop_assert_eq!(plain, Some(dims));
        }

        #[test]
        fn anything_else(text in "[\\[(]?[0-9, +x-]{0,24}[\\])]?") {
            let (plain, any) = read(&text);
            prop_assert!(plain.is_none() || plain == any, "{text:?}: {plain:?}, {any:?}");
        }
    }

    #[test]
    fn dimensions_that_overflow() {
        let most = usize::MAX.to_string();
        assert_eq!(read(&format!("[{most},1]")).1, Some(vec![usize::MAX, 1]));
        for digits in 17..25 {
            let text = format!("[2,{}]", "9".repeat(digits));
            let (plain, any) = read(&text);
            assert!(plain.is_none() || plain == any, "{text}");
            assert_eq!(any.is_some(), "9".repeat(digits).parse::<usize>().is_ok());
        }
    }
}
