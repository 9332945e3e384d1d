//! Logging from a device, to be tested and measured: the commands and the output of the C++ header's `gpu` and `bench`
//! (`cpp/tests/cuda`), so that the same checks judge both. Link it under both names and `BIN=FOLDER
//! cpp/tests/cuda/run` runs everything.

#![expect(clippy::print_stdout, reason = "its output is what the checks read")]

mod bench;
mod checks;
mod engine;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
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
            println!("wait packed-payloads");
            Ok(())
        }
        "types" => checks::types(),
        "strides" => checks::strides(),
        "replay" => checks::replay(number(), number() as u64),
        "engine" => checks::engine(false, number()),
        "engine-graph" => checks::engine(true, number()),
        "streams" => checks::streams(),
        "huge" => checks::huge(),
        "crashed" => checks::crashed(),
        "reset" => checks::reset(),
        "no-flush" => checks::no_flush(),
        "graph" | "eager" => bench::logged(command == "graph"),
        "naive" => bench::naive(),
        "bandwidth" => bench::bandwidth(),
        _ => Err("usage: cuda_device types|strides|replay N MS|engine N|engine-graph N|streams|huge|crashed|reset|no-flush|\
                  graph|eager|naive|bandwidth"
            .into()),
    }
}
