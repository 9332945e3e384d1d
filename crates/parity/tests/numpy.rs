//! The figures against numpy's, where there is a Python that has it: `NUMERIC_PARITY_NUMPY`, which `./test` sets, or `python3`; elsewhere against plain sums alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use parity::measure::{Metrics, Partial, Ulp};
use std::io::Write;
use std::process::Command;
use support::noise;

const SCRIPT: &str = r#"
import sys
import numpy as np
for path in sys.argv[1:]:
    a32, b32 = np.fromfile(path, "<f4").reshape(2, -1)
    finite = np.isfinite(a32) & np.isfinite(b32)
    x, y = a32[finite], b32[finite]
    a, b = x.astype("f8"), y.astype("f8")
    d = b - a
    place = lambda v: np.where(v.view("i4") < 0, -(v.view("i4") & 0x7fffffff).astype("i8"), v.view("i4"))
    with np.errstate(all="ignore"):
        figures = [
            np.abs(d).max(), np.abs(d).mean(), (np.abs(d) / np.maximum(np.abs(a), 1e-8)).max(),
            np.sqrt((d * d).mean()), (d * d).sum() / (a * a).sum(),
            a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), np.corrcoef(a, b)[0, 1],
            np.abs(place(x) - place(y)).max(), (np.sign(a) * np.sign(b) < 0).sum(),
        ]
    print(*[repr(float(v)) for v in figures])
"#;

#[test]
fn figures_agree_with_numpy() {
    let python = std::env::var_os("NUMERIC_PARITY_NUMPY").unwrap_or("python3".into());
    let has_numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        // `metrics.rs` holds the same figures against an independent computation of its own. Written past the test's
        // own capture, which shows nothing of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "figures_agree_with_numpy: skipped: no numpy"
        );
        return;
    }
    let cases = cases();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT]);
    for (index, (_, a, b)) in cases.iter().enumerate() {
        let path = folder.path().join(index.to_string());
        let bytes: Vec<u8> = a.iter().chain(b).flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), cases.len());
    for ((name, a, b), line) in cases.iter().zip(lines.lines()) {
        let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let partial = Partial::of(&wide(a), &wide(b), 0);
        let found = Metrics::of(&partial, None, Some(Ulp::F32)).unwrap();
        let figures = [
            ("max abs", found.max_abs_diff),
            ("mean abs", found.mean_abs_diff),
            ("max rel", found.max_rel_diff),
            ("rmse", found.rmse),
            ("nmse", found.nmse),
            ("cosine", found.cosine.unwrap_or(f64::NAN)),
            ("pearson", found.pearson.unwrap_or(f64::NAN)),
            ("ulp", found.max_ulp.unwrap() as f64),
            ("signs", found.sign_disagreements as f64),
        ];
        for ((figure, found), expected) in figures.into_iter().zip(line.split(' ')) {
            let expected: f64 = expected.parse().unwrap();
            let close = (found - expected).abs() <= 1e-11 * expected.abs().max(f64::MIN_POSITIVE);
            // The definitions part where nothing is left to divide by; `metrics.rs` pins ours down.
            let undefined = found.is_nan() && (expected.is_nan() || *name == "constant");
            assert!(
                close || undefined || found == expected,
                "{name}, {figure}: {found}, numpy {expected}"
            );
        }
    }
}

fn cases() -> Vec<(&'static str, Vec<f32>, Vec<f32>)> {
    let n = 10_007;
    let x = noise(1, n);
    let near = |scale: f32| -> Vec<f32> {
        x.iter()
            .zip(noise(2, n))
            .map(|(x, e)| x + scale * e)
            .collect()
    };
    let mut holes = near(1e-3);
    (holes[17], holes[5000], holes[9999]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let scaled = |v: &[f32], by: f32| v.iter().map(|x| x * by).collect::<Vec<f32>>();
    vec![
        ("rounding", x.clone(), near(1e-7)),
        ("drift", x.clone(), near(1e-2)),
        ("unrelated", x.clone(), noise(3, n)),
        ("non-finite", x.clone(), holes),
        (
            "shifted",
            x.iter().map(|x| x + 100.0).collect(),
            near(1e-3).iter().map(|x| x + 100.0).collect(),
        ),
        ("constant", vec![0.1; n], vec![0.2; n]),
        ("huge", scaled(&x, 3e38), scaled(&near(1e-3), 3e38)),
        ("subnormal", scaled(&x, 1e-40), scaled(&near(1e-1), 1e-40)),
        ("one element", vec![1.5], vec![-2.0]),
    ]
}
