//! Comparing traces of many layers of which only queries were logged: each is computed from all before it, and nearly all that
//! lies between was not captured. The floor is the same records under names that have no place in a layer.

use std::sync::OnceLock;

use bench::{Folder, tensor};
use divan::Bencher;
use parity::Options;
use parity::trace::Trace;

static FOLDER: OnceLock<Folder> = OnceLock::new();

fn main() {
    divan::main();
    if let Some(folder) = FOLDER.get() {
        let _ = std::fs::remove_dir_all(folder.path("."));
    }
}

/// A reference and a candidate that is a millionth off.
fn traces(layers: usize, name: fn(usize) -> String) -> [Trace; 2] {
    let folder = FOLDER.get_or_init(Folder::new);
    [("ref", 0.0), ("cand", 1e-6)].map(|(side, off)| {
        let mut text = String::from(
            r#"{"checkpoint":"tokens","team":"bench","token_idx":0,"dtype":"i32","shape":"[1]","values":[5]}"#,
        );
        for layer in 0..layers {
            let values: Vec<String> = tensor(layer + 8)[layer..]
                .iter()
                .enumerate()
                .map(|(at, x)| {
                    let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
                    (x * (1.0 + sign * off)).to_string()
                })
                .collect();
            text += &format!(
                "\n{{\"checkpoint\":\"{}\",\"team\":\"bench\",\"token_idx\":0,\"dtype\":\"f32\",\"shape\":\"[8]\",\"values\":[{}]}}",
                name(layer),
                values.join(",")
            );
        }
        let path = folder.path(&format!("{side}-{}.jsonl", name(layers)));
        std::fs::write(&path, text + "\n").expect("a trace file");
        Trace::open(&path).expect("a trace")
    })
}

fn compared(bencher: Bencher<'_, '_>, layers: usize, name: fn(usize) -> String) {
    let [reference, candidate] = traces(layers, name);
    bencher.bench_local(|| {
        parity::compare(&reference, &candidate, &Options::default(), &mut |_| {})
            .expect("a comparison")
    });
}

#[divan::bench(args = [500, 1000, 2000, 4000], sample_count = 3, sample_size = 1)]
fn only_queries(bencher: Bencher<'_, '_>, layers: usize) {
    compared(bencher, layers, |layer| format!("layer_{layer}_q"));
}

#[divan::bench(args = [500, 1000, 2000, 4000], sample_count = 3, sample_size = 1)]
fn floor_without_layers(bencher: Bencher<'_, '_>, layers: usize) {
    compared(bencher, layers, |layer| format!("probe_{layer}"));
}
