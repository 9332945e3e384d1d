//! Logging from a device, to be tested and measured: the commands and the output of the C++ header's `gpu` and `bench`
//! (`cpp/tests/cuda`), so that the same checks judge both. Link it under both names and `BIN=FOLDER
//! cpp/tests/cuda/run` runs everything.

#![expect(clippy::print_stdout, reason = "its output is what the checks read")]

mod bench;
mod checks;
mod ends;
mod engine;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    // Whoever of them has passes ends them: each record says its step.
    orch_log::cuda::count_steps();
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut number = || {
        arguments
            .next()
            .and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(0)
    };
    match command.as_str() {
        // What only some loggers do: `run` skips its tests for the others.
        "supports" => {
            println!("wait packed-payloads ends odd-shapes");
            Ok(())
        }
        "types" => checks::types(),
        "strides" => checks::strides(),
        "replay" => checks::replay(number(), number() as u64),
        "engine" => checks::engine(false, number()),
        "engine-graph" => checks::engine(true, number()),
        "odd-shapes" => checks::odd_shapes(),
        "streams" | "streams-per-thread" => checks::streams(command != "streams"),
        "huge" => checks::huge(),
        "crashed" => ends::crashed(),
        "crashed-and-reset" => ends::crashed_and_reset(),
        "crashed-graph" => ends::crashed_after_replays(number()),
        "no-flush" => ends::no_flush(),
        "exit" => ends::exit_in_flight(number()),
        "reset" => ends::reset(number(), true),
        "reset-in-flight" => ends::reset(number(), false),
        "recapture" => ends::recapture(number()),
        "contexts" => ends::contexts(number()),
        "devices" => ends::devices(number()),
        "host-memory" => ends::host_memory(),
        "graph" | "eager" => bench::logged(command == "graph"),
        "naive" => bench::naive(),
        "bandwidth" => bench::bandwidth(),
        _ => Err(
            "usage: cuda_device types|strides|odd-shapes|replay N MS|engine N|engine-graph N|streams|streams-per-thread|huge|\
             crashed|crashed-and-reset|crashed-graph N|no-flush|exit N|reset N|reset-in-flight N|recapture N|contexts N|\
             devices N|host-memory|graph|eager|naive|bandwidth"
                .into(),
        ),
    }
}
