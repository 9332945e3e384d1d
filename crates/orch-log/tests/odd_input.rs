//! What a logger must bear without a panic: shapes that disagree, nothing at all, extremes of every count.

#![cfg(feature = "read")]

mod common;

use orch_log::format::{Dtype, Event, parse_line};
use orch_log::{Logged, Recorder, Settings, TensorView, Values};
use proptest::prelude::*;

fn recorder(folder: &tempfile::TempDir) -> Recorder {
    let mut settings = Settings::new(folder.path().join("run.jsonl"), "te\"am\n");
    settings.values = Values::All;
    settings.detail = orch_log::Detail::Full;
    Recorder::create(settings).expect("the trace opens")
}

#[test]
fn events_at_their_limits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = recorder(&folder);
    const MOST: usize = usize::MAX;
    let events = [
        Event::new("", i64::MIN),
        Event::new("\0\u{1f}\"\\\u{7f}漢", i64::MAX),
        Event::new("x", 0).shape(&[]),
        Event::new("x", 0).shape(&[0]),
        Event::new("x", 0).shape(&[MOST, MOST]),
        Event::new("x", 0).shape(&[7; 40]),
        Event::new("x", 0).shape_text("nonsense \"]}"),
        Event::new("x", 0)
            .n_tokens(MOST >> 1)
            .step(u64::MAX >> 1)
            .seq(u64::MAX >> 1)
            .occurrence(u64::MAX >> 1),
        Event::new("x", 0).n_tokens(0).token_axis(MOST >> 1),
        Event::new("x", 0).shard(9, 1, MOST >> 1, 9, 0),
        Event::new("x", 0)
            .op("")
            .src(&["", "\n"])
            .source("\t")
            .location("", u32::MAX),
        Event::new("x", 0).dtype(Dtype::I64),
    ];
    for event in &events {
        assert_eq!(recorder.log(event, &[1.5f32, f32::NAN]), Logged::Written);
        assert_eq!(recorder.log(event, &[0.0f64; 0]), Logged::Written);
    }
    let trace = common::read(recorder.path());
    trace.assert_whole();
    assert_eq!(trace.records.len(), 2 * events.len());
    assert_eq!(trace.records[0].team, "te\"am\n");
    assert_eq!(trace.records[2].checkpoint, "\0\u{1f}\"\\\u{7f}漢");
}

#[test]
fn counts_beyond_what_readers_take_are_still_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = recorder(&folder);
    let event = Event::new("x", 0).n_tokens(usize::MAX).step(u64::MAX);
    assert_eq!(recorder.log(&event, &[1.0f32]), Logged::Written);
    let line = std::fs::read(recorder.path()).expect("the trace");
    let error = parse_line(&line).expect_err("more than 63 bits");
    assert!(error.message.contains("n_tokens"), "{error}");
}

#[test]
fn flush_twice_and_from_several_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = recorder(&folder);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for position in 0..20 {
                    assert_eq!(
                        recorder.log(&Event::new("x", position), &[1.0f32]),
                        Logged::Written
                    );
                    recorder.flush().expect("on the disk");
                }
            });
        }
    });
    assert_eq!(recorder.status().written, 80);
}

#[test]
fn buffered_threads_and_a_flushing_one_lose_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.jsonl");
    let mut settings = Settings::new(&path, "test");
    settings.buffer = Some(3000);
    let recorder = Recorder::create(settings).expect("the trace opens");
    std::thread::scope(|scope| {
        // More threads than there are buffers: the rest write at once.
        for thread in 0..300 {
            let recorder = &recorder;
            scope.spawn(move || {
                for position in 0..40 {
                    // Some lines are longer than the buffer.
                    let name = format!(
                        "thread_{thread}{}",
                        "_".repeat(if position % 10 == 9 { 4000 } else { 0 })
                    );
                    let logged = recorder.log(&Event::new(&name, position), &[1.0f32]);
                    assert!(matches!(logged, Logged::Written | Logged::Buffered));
                }
            });
        }
        for _ in 0..20 {
            recorder.flush().expect("on the disk");
        }
    });
    assert_eq!(recorder.status().written, 300 * 40);
    drop(recorder);
    let trace = common::read(&path);
    trace.assert_whole();
    assert_eq!(trace.records.len(), 300 * 40);
}

/// Any event that a reader can take, with any name.
fn any_event() -> impl Strategy<Value = (String, i64, Vec<usize>, usize, u64, Option<String>)> {
    (
        any::<String>(),
        any::<i64>(),
        prop::collection::vec(0usize..1 << 40, 0..5),
        0usize..1 << 40,
        0u64..1 << 40,
        any::<Option<String>>(),
    )
}

proptest! {
    // No folder for regressions: a failure prints its input.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written reads back: every name, and every value to the bit.
    #[test]
    fn round_trip(
        (name, token_idx, shape, n_tokens, step, op) in any_event(),
        bits in prop::collection::vec(any::<u32>(), 0..40),
        wide in prop::collection::vec(any::<u64>(), 0..40),
        integers in prop::collection::vec(any::<i32>(), 0..40),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recorder = recorder(&folder);
        let mut event = Event::new(&name, token_idx).shape(&shape).n_tokens(n_tokens).step(step);
        if let Some(op) = &op {
            event = event.op(op);
        }
        let narrow: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
        let wide: Vec<f64> = wide.iter().map(|bits| f64::from_bits(*bits)).collect();
        prop_assert_eq!(recorder.log(&event, &narrow), Logged::Written);
        prop_assert_eq!(recorder.log(&event, &wide), Logged::Written);
        prop_assert_eq!(recorder.log(&event, &integers), Logged::Written);
        let trace = common::read(recorder.path());
        trace.assert_whole();
        let expected = [
            narrow.iter().map(|value| f64::from(*value)).collect::<Vec<_>>(),
            wide,
            integers.iter().map(|value| f64::from(*value)).collect(),
        ];
        prop_assert_eq!(trace.records.len(), 3);
        for (record, expected) in trace.records.iter().zip(expected) {
            prop_assert_eq!(&record.checkpoint, &name);
            prop_assert_eq!((record.token_idx, record.n_tokens, record.step), (token_idx, n_tokens, Some(step)));
            prop_assert_eq!(&record.shape, &shape);
            prop_assert_eq!(&record.op, &op);
            prop_assert_eq!(record.values.len(), expected.len());
            for (found, expected) in record.values.iter().zip(expected) {
                prop_assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()));
            }
        }
    }

    /// No bytes make the parser panic, and an error points into the line.
    #[test]
    fn any_bytes(line in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = parse_line(&line) {
            prop_assert!(error.column >= 1 && error.column <= line.len() + 1);
        }
    }

    /// Nor does a good line with a few bytes changed, cut or doubled.
    #[test]
    fn damaged_lines(place in 0usize..600, byte: u8, kind in 0u8..3) {
        let mut line = br#"{"checkpoint":"a\u00e9\n","team":"me","token_idx":-7,"dtype":"f32","shape":"[2,3]","values":[0.1,"NaN",-1e-45,null],"n_tokens":2,"step":0,"shard":{"axis":1,"index":0,"count":2},"src":["x","y"],"stats":{"n":4,"nan":1,"inf":0,"zero":0,"min":0.1,"max":0.1,"mean":0.1,"rms":0.1},"sketch":{"v":1,"s":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]},"payload":{"file":"a.tensors","offset":64,"nbytes":16},"other":[{"a":[]}]}"#.to_vec();
        prop_assert!(parse_line(&line).is_ok());
        let place = place % line.len();
        match kind {
            0 => line[place] = byte,
            1 => line.truncate(place),
            _ => line.insert(place, byte),
        }
        if let Err(error) = parse_line(&line) {
            prop_assert!(error.column >= 1 && error.column <= line.len() + 1);
            prop_assert!(!error.message.is_empty());
        }
    }

    /// No shape and strides make a view that reads outside its data.
    #[test]
    fn any_view(
        shape in prop::collection::vec(prop_oneof![0usize..6, Just(usize::MAX), Just(1 << 62)], 0..5),
        strides in prop::collection::vec(prop_oneof![-8isize..8, Just(isize::MIN), Just(isize::MAX)], 0..5),
        offset in prop_oneof![0usize..40, Just(usize::MAX)],
    ) {
        let data: Vec<u16> = (0..30).collect();
        if let Some(view) = TensorView::strided(&data, &shape, &strides, offset)
            && view.len() < 10_000
        {
            prop_assert_eq!(view.iter().count(), view.len());
            prop_assert_eq!(view.as_slice().is_none_or(|slice| slice.iter().copied().eq(view.iter())), true);
        }
    }
}
