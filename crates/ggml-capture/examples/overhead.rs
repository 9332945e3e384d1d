//! What capturing all canonical checkpoints with statistics costs, in one process: `overhead MODEL.gguf [TOKENS] [TRACE]`.
//!
//! Every token is decoded without a callback, with one that only stops at each node, and with the capture, in turns.

#![allow(clippy::print_stdout, reason = "its purpose")]

use std::path::PathBuf;
use std::time::Duration;

use ggml_capture::overhead::{Condition, Overhead, measure};
use orch_log::{Detail, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments
        .next()
        .ok_or("usage: overhead MODEL.gguf [TOKENS] [TRACE]")?;
    let count = arguments.next().map_or(Ok(100), |count| count.parse())?;
    let trace = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("overhead-{}.jsonl", std::process::id())),
        PathBuf::from,
    );
    let mut log = Settings::new(&trace, "llama.cpp");
    log.detail = Detail::Stats;
    let times = measure(
        model.as_ref(),
        "Write a haiku about GPU computing",
        count,
        log,
    )?;
    let bytes = std::fs::metadata(&trace)?.len();
    println!("{count} tokens, {} records, {bytes} bytes", times.records);
    println!(
        "{:<10} {:>11} {:>9} {:>9} {:>11} {:>9}",
        "", "wall median", "least", "above", "cpu median", "above"
    );
    for condition in Condition::ALL {
        let (wall, cpu) = (
            &times.wall[condition as usize],
            &times.cpu[condition as usize],
        );
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{:<10} {:>8.3} ms {:>6.3} ms {:>7.1} % {:>8.3} ms {:>7.1} %",
            format!("{condition:?}").to_lowercase(),
            ms(Overhead::median(wall)),
            ms(wall.iter().min().copied().unwrap_or_default()),
            100.0 * Overhead::above_plain(&times.wall, condition),
            ms(Overhead::median(cpu)),
            100.0 * Overhead::above_plain(&times.cpu, condition),
        );
    }
    for file in [trace.clone(), trace.with_extension("run.json")] {
        // Left behind at worst in a temporary folder.
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}
