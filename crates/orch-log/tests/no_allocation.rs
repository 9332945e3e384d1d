//! Once a thread's line buffer has grown, a record allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use orch_log::format::Event;
use orch_log::{Detail, Filter, Recorder, Settings, TensorView, TokenSet, Values};

/// The system's allocator, counting for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn counted() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations(|| drop(std::hint::black_box(vec![1u8; 100]))),
        1
    );
}

#[test]
fn steady_state() {
    for (detail, values, buffer) in [
        (Detail::Values, Values::First(10), None),
        (Detail::Stats, Values::First(10), None),
        (Detail::Stats, Values::First(10), Some(65536)),
        (Detail::Full, Values::All, None),
        (Detail::Full, Values::All, Some(4096)),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut settings = Settings::new(folder.path().join("run.jsonl"), "test");
        (
            settings.detail,
            settings.values,
            settings.buffer,
            settings.timestamps,
        ) = (detail, values, buffer, true);
        settings.filter = Filter::new("layer_*,!*_k");
        settings.tokens = TokenSet::parse("0-5,7-").expect("a set");
        let recorder = Recorder::create(settings).expect("the trace opens");

        let (floats, wide, ids): (Vec<f32>, Vec<f64>, Vec<i32>) = (
            (0..2000).map(|i| i as f32).collect(),
            vec![0.1; 300],
            (0..300).collect(),
        );
        let broken = [f32::NAN, f32::INFINITY, -0.0];
        let transposed = TensorView::strided(&floats, &[50, 40], &[1, 50], 0).expect("inside");
        let log_all = || {
            for position in 0..100 {
                let event = Event::new("layer_0_q", position)
                    .shape(&[1, 2000])
                    .n_tokens(1)
                    .step(3)
                    .shard(0, 2, 1, 0, 2)
                    .op("MUL_MAT")
                    .src(&["layer_0_attn_norm", "quote \" and \u{1}"])
                    .location(file!(), line!());
                let _ = recorder.log(&event, &floats);
                let _ = recorder.log(&event, &wide);
                let _ = recorder.log(&event, &broken);
                let _ = recorder.log(&event, transposed);
                let _ = recorder.log(&Event::new("tokens", position), &ids);
                let _ = recorder.log(&Event::new("layer_0_k", position), &ids);
            }
        };
        log_all();
        assert_eq!(
            allocations(log_all),
            0,
            "{detail:?}, {values:?}, buffer {buffer:?}"
        );
        assert!(recorder.status().is_complete());
    }
}
