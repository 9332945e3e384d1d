//! One record as one line of JSON, fields in the order of the contract.

use super::Dtype;
use super::event::{Event, Shape};
use super::number::{push, push_f64, push_i64, push_u64};
use super::short::push_short;
use super::text::{push_escaped, push_string};
use crate::summary::{Sketch, Stats};
use crate::tensor::{Element, Number, TensorView};

/// What goes into a record besides the event and its first values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extras<'a> {
    pub(crate) stats: Option<&'a Stats>,
    pub(crate) sketch: Option<&'a Sketch>,
    pub(crate) payload: Option<Place<'a>>,
    pub(crate) ts_ns: Option<u64>,
}

/// A byte range of a payload file: a borrowed [`PayloadRef`](super::PayloadRef).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) offset: u64,
    pub(crate) nbytes: u64,
    pub(crate) dtype: Dtype,
}

/// Appends a record and its line end. `team` is already escaped. `count` values are written.
pub(crate) fn push_record<T: Element>(
    out: &mut Vec<u8>,
    team: &[u8],
    event: &Event<'_>,
    view: &TensorView<'_, T>,
    count: usize,
    extras: &Extras<'_>,
) {
    let dtype = written_dtype::<T>(event);
    out.extend_from_slice(b"{\"checkpoint\":\"");
    push_escaped(out, event.checkpoint);
    out.extend_from_slice(b"\",\"team\":\"");
    push_short(out, team);
    out.extend_from_slice(b"\",\"token_idx\":");
    push_i64(out, event.token_idx);
    out.extend_from_slice(b",\"dtype\":\"");
    push_short(out, dtype.name().as_bytes());
    out.extend_from_slice(b"\",\"shape\":\"");
    push_shape(out, event.shape, view.shape());
    out.extend_from_slice(b"\",\"values\":[");
    push_values(out, view, count);
    out.push(b']');
    push_place(out, event);
    push_origin(out, event);
    if let Some(stats) = extras.stats {
        push_stats::<T>(out, stats);
    }
    if let Some(sketch) = extras.sketch {
        push_sketch(out, sketch);
    }
    if let Some(payload) = extras.payload {
        push_payload(out, payload);
    }
    push_provenance(out, event, extras.ts_ns);
    out.extend_from_slice(b"}\n");
}

/// The storage type to write: the event's, unless its numbers would then be read as another type than
/// they are printed as.
fn written_dtype<T: Element>(event: &Event<'_>) -> Dtype {
    match event.dtype {
        Some(dtype)
            if dtype.prints_as_f32() == T::DTYPE.prints_as_f32()
                && dtype.is_integer() == T::DTYPE.is_integer() =>
        {
            dtype
        }
        _ => T::DTYPE,
    }
}

fn push_values<T: Element>(out: &mut Vec<u8>, view: &TensorView<'_, T>, count: usize) {
    let mut separate = false;
    let mut one = |value: T| {
        if separate {
            out.push(b',');
        }
        separate = true;
        push(out, value.number());
    };
    match view.as_slice() {
        Some(slice) => slice.iter().take(count).for_each(|value| one(*value)),
        None => view.iter().take(count).for_each(one),
    }
}

fn push_shape(out: &mut Vec<u8>, shape: Shape<'_>, of_view: &[usize]) {
    match shape {
        Shape::Text(text) if is_shape(text) => out.extend_from_slice(text.as_bytes()),
        Shape::Dims(dims) => push_dims(out, dims),
        Shape::Text(_) | Shape::FromView => push_dims(out, of_view),
    }
}

/// True for `[]`, `[896]`, `[1,896]` and the like: all that may stand in a record without escaping.
fn is_shape(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    else {
        return false;
    };
    inner.is_empty()
        || inner.split(',').all(|dim| {
            let dim = dim.trim_matches(' ');
            !dim.is_empty() && dim.len() < 20 && dim.bytes().all(|byte| byte.is_ascii_digit())
        })
}

fn push_dims(out: &mut Vec<u8>, dims: &[usize]) {
    out.push(b'[');
    for (axis, dim) in dims.iter().enumerate() {
        if axis > 0 {
            out.push(b',');
        }
        push_u64(out, *dim as u64);
    }
    out.push(b']');
}

/// Where in the run: tokens, step, sequence, occurrence, slice.
fn push_place(out: &mut Vec<u8>, event: &Event<'_>) {
    let mut field = |name: &[u8], value: u64| {
        out.extend_from_slice(name);
        push_u64(out, value);
    };
    if let Some(n_tokens) = event.n_tokens {
        field(b",\"n_tokens\":", n_tokens as u64);
    }
    if let Some(step) = event.step {
        field(b",\"step\":", step);
    }
    if event.seq != 0 {
        field(b",\"seq\":", event.seq);
    }
    if event.occurrence != 0 {
        field(b",\"occurrence\":", event.occurrence);
    }
    if event.token_axis != 0 {
        field(b",\"token_axis\":", event.token_axis as u64);
    }
    if let Some(shard) = event.shard {
        field(b",\"rank\":", shard.rank);
        field(b",\"world\":", shard.world);
        field(b",\"shard\":{\"axis\":", shard.axis as u64);
        field(b",\"index\":", shard.index as u64);
        field(b",\"count\":", shard.count as u64);
        out.push(b'}');
    }
}

/// Where in the dataflow graph.
fn push_origin(out: &mut Vec<u8>, event: &Event<'_>) {
    if let Some(op) = event.op {
        out.extend_from_slice(b",\"op\":");
        push_string(out, op);
    }
    if !event.src.is_empty() {
        out.extend_from_slice(b",\"src\":[");
        for (index, name) in event.src.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_string(out, name);
        }
        out.push(b']');
    }
}

fn push_stats<T: Element>(out: &mut Vec<u8>, stats: &Stats) {
    for (name, count) in [
        (&b",\"stats\":{\"n\":"[..], stats.n),
        (b",\"nan\":", stats.nan),
        (b",\"inf\":", stats.inf),
        (b",\"zero\":", stats.zero),
    ] {
        out.extend_from_slice(name);
        push_u64(out, count);
    }
    // The extremes are elements, so they are printed as elements are.
    let extreme = |value: f64| {
        if T::DTYPE.prints_as_f32() {
            Number::F32(value as f32)
        } else {
            Number::F64(value)
        }
    };
    out.extend_from_slice(b",\"min\":");
    push(out, extreme(stats.min));
    out.extend_from_slice(b",\"max\":");
    push(out, extreme(stats.max));
    out.extend_from_slice(b",\"mean\":");
    push_f64(out, stats.mean);
    out.extend_from_slice(b",\"rms\":");
    push_f64(out, stats.rms);
    out.push(b'}');
}

fn push_sketch(out: &mut Vec<u8>, sketch: &Sketch) {
    out.extend_from_slice(b",\"sketch\":{\"v\":1,\"s\":[");
    for (projection, sum) in sketch.s.iter().enumerate() {
        if projection > 0 {
            out.push(b',');
        }
        push_f64(out, *sum);
    }
    out.extend_from_slice(b"]}");
}

fn push_payload(out: &mut Vec<u8>, payload: Place<'_>) {
    out.extend_from_slice(b",\"payload\":{\"file\":");
    push_string(out, payload.file);
    out.extend_from_slice(b",\"offset\":");
    push_u64(out, payload.offset);
    out.extend_from_slice(b",\"nbytes\":");
    push_u64(out, payload.nbytes);
    out.extend_from_slice(b",\"dtype\":\"");
    out.extend_from_slice(payload.dtype.name().as_bytes());
    out.extend_from_slice(b"\"}");
}

fn push_provenance(out: &mut Vec<u8>, event: &Event<'_>, ts_ns: Option<u64>) {
    if let Some(ts_ns) = ts_ns {
        out.extend_from_slice(b",\"ts_ns\":");
        push_u64(out, ts_ns);
    }
    if let Some(source) = event.source {
        out.extend_from_slice(b",\"source\":");
        push_string(out, source);
    }
    if let Some((file, line)) = event.location {
        out.extend_from_slice(b",\"file\":");
        push_string(out, file);
        out.extend_from_slice(b",\"line\":");
        push_u64(out, u64::from(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &Event<'_>, data: &[f32]) -> String {
        let mut out = Vec::new();
        push_record(
            &mut out,
            b"me",
            event,
            &TensorView::new(data),
            10,
            &Extras::default(),
        );
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn six_fields_in_order() {
        assert_eq!(
            line(&Event::new("logits", 7), &[0.1, -2.0]),
            "{\"checkpoint\":\"logits\",\"team\":\"me\",\"token_idx\":7,\"dtype\":\"f32\",\"shape\":\"[2]\",\"values\":[0.1,-2.0]}\n"
        );
    }

    #[test]
    fn everything_else_follows() {
        let event = Event::new("x", 0)
            .shape(&[2, 1])
            .dtype(Dtype::ggml("q4_1").expect("a name"))
            .n_tokens(2)
            .step(0)
            .seq(1)
            .occurrence(2)
            .token_axis(1)
            .shard(0, 2, 1, 0, 2)
            .op("MUL")
            .src(&["a", "b"])
            .source("s")
            .location("f.rs", 3);
        assert!(line(&event, &[1.0]).ends_with(
            "\"dtype\":\"q4_1\",\"shape\":\"[2,1]\",\"values\":[1.0],\"n_tokens\":2,\"step\":0,\"seq\":1,\"occurrence\":2,\
             \"token_axis\":1,\"rank\":0,\"world\":2,\"shard\":{\"axis\":1,\"index\":0,\"count\":2},\"op\":\"MUL\",\
             \"src\":[\"a\",\"b\"],\"source\":\"s\",\"file\":\"f.rs\",\"line\":3}\n"
        ));
    }

    #[test]
    fn a_shape_text_cannot_break_the_line() {
        for bad in [
            "",
            "896",
            "[-1]",
            "[1,]",
            "[1\"]",
            "[99999999999999999999999]",
        ] {
            assert!(
                line(&Event::new("x", 0).shape_text(bad), &[1.0]).contains("\"shape\":\"[1]\""),
                "{bad}"
            );
        }
        assert!(
            line(&Event::new("x", 0).shape_text("[1, 896]"), &[1.0])
                .contains("\"shape\":\"[1, 896]\"")
        );
    }

    #[test]
    fn a_dtype_that_would_be_misread_is_not_written() {
        assert!(line(&Event::new("x", 0).dtype(Dtype::F64), &[1.0]).contains("\"dtype\":\"f32\""));
        assert!(line(&Event::new("x", 0).dtype(Dtype::I8), &[1.0]).contains("\"dtype\":\"f32\""));
        assert!(
            line(&Event::new("x", 0).dtype(Dtype::Bf16), &[1.0]).contains("\"dtype\":\"bf16\"")
        );
    }
}
