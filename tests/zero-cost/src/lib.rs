//! Functions whose assembly must be the same with and without their calls of `orch_log!`.
//!
//! Built twice, with `--cfg with_calls` and without; everything else, line numbers included, is equal.

// Without the calls their arguments are not used.
#![allow(unused)]

use orch_log::orch_log;

/// The usual call: borrowed data.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn plain(weights: &[f32], input: &[f32], token_idx: usize) -> Vec<f32> {
    let output: Vec<f32> = weights.iter().zip(input).map(|(w, x)| w * x).collect();
    #[cfg(with_calls)] orch_log!("layer_0_output", &output, token_idx);
    output
}

/// Every form of the macro.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn all_forms(values: &mut Vec<f32>, heads: usize, step: u64) -> f32 {
    values.push(1.0);
    #[cfg(with_calls)] orch_log!("a", &*values, 7, "[896]");
    #[cfg(with_calls)] orch_log!("b", &values[..], 7i64, [1, heads, 64]);
    #[cfg(with_calls)] orch_log!(format!("layer_{heads}_q"), &*values, 7; n_tokens = 1, step = step, op = "MUL_MAT", src = &["a"]);
    #[cfg(with_calls)] orch_log!("c", values.as_slice(), 7, vec![1, heads]; seq = 2u8, occurrence = 3);
    values.iter().sum()
}

/// Arguments whose evaluation would be seen: a counter, an allocation, an output, a panic, a division by zero.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn side_effects(counter: &mut u64, values: &[f32]) -> u64 {
    *counter += 1;
    #[cfg(with_calls)] orch_log!({ *counter += 10; "name" }, &{ *counter += 100; values.to_vec() }, { *counter += 1000; *counter });
    #[cfg(with_calls)] orch_log!(announce(counter), &expensive(values, counter), explode(counter));
    #[cfg(with_calls)] orch_log!("x", values, *counter / (*counter - *counter); n_tokens = { *counter = 0; 1 });
    *counter
}

/// In a loop that should vectorise, and in branches.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn hot_loop(values: &mut [f32], scale: f32, flag: bool) {
    for (index, value) in values.iter_mut().enumerate() {
        *value = *value * scale + 1.0;
        #[cfg(with_calls)] orch_log!("value", &[*value], index);
        let _ = index;
    }
    if flag {
        #[cfg(with_calls)] orch_log!("all", &*values, 0);
    }
}

/// With variables that live only for the call, and with `?` after it.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn early_return(text: &str) -> Result<i32, std::num::ParseIntError> {
    let number: i32 = text.parse()?;
    #[cfg(with_calls)] orch_log!("number", &[number; 3], number; source = text);
    let next: i32 = text.trim().parse()?;
    Ok(number + next)
}

/// Has a value with a destructor across the call.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn destructor(values: Box<[f32]>) -> usize {
    let guard = Guard(values.len());
    #[cfg(with_calls)] orch_log!("guarded", &values, guard.0);
    drop(values);
    guard.0
}

/// Something with a destructor.
pub struct Guard(pub usize);

impl Drop for Guard {
    fn drop(&mut self) {
        std::hint::black_box(self.0);
    }
}

/// Would be seen on stdout.
#[inline(never)]
pub fn announce(counter: &mut u64) -> String {
    *counter += 1;
    println!("evaluated");
    counter.to_string()
}

/// Would be seen in the counter.
#[inline(never)]
pub fn expensive(values: &[f32], counter: &mut u64) -> Vec<f64> {
    *counter += 1;
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Would be seen as a panic.
#[inline(never)]
pub fn explode(counter: &mut u64) -> i32 {
    *counter += 1;
    panic!("evaluated");
}
