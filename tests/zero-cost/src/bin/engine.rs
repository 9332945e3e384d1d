//! A program whose binary must not hold a trace of the logger when the feature is off, and must log when it is on.

use orch_log::orch_log;

fn main() {
    let mut values = vec![0.5f32; 896];
    for token_idx in 0..10 {
        values.iter_mut().for_each(|value| *value += 1.0);
        orch_log!("layer_0_output", &values, token_idx, "[896]"; step = token_idx);
    }
    println!("{}", values[0]);
}
