//! Products of activations and weights in f64.

use std::ops::Range;
use std::sync::OnceLock;
use std::thread;

/// Rows of `x` (of `inputs` elements) times the transpose of `weight`, whose rows of `inputs` elements are outputs.
///
/// # Shape
///
/// `[rows of x, rows of weight]`. Elements after the last whole row are ignored.
///
/// Each sum is in f64, in an order that depends on `inputs` only: the result does not depend on the number of threads.
pub fn multiply<W: Copy + Into<f64> + Sync>(x: &[f64], inputs: usize, weight: &[W]) -> Vec<f64> {
    if inputs == 0 {
        return Vec::new();
    }
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    in_parts(rows, outputs, inputs, |part| {
        transposed(x, inputs, &weight[part.start * inputs..part.end * inputs])
    })
}

/// `[rows, outputs]`, computed by several threads where that is worth it: `compute` gives some outputs, outermost.
pub(super) fn in_parts(
    rows: usize,
    outputs: usize,
    inputs: usize,
    compute: impl Fn(Range<usize>) -> Vec<f64> + Sync,
) -> Vec<f64> {
    let threads = processors().min(rows * outputs * inputs / WORTH_A_THREAD + 1);
    let share = outputs.div_ceil(threads).max(1);
    let part = |first: usize| first..outputs.min(first + share);
    let parts: Vec<Vec<f64>> = if threads == 1 {
        vec![compute(0..outputs)]
    } else {
        let compute = &compute;
        thread::scope(|scope| {
            let started: Vec<_> = (0..outputs)
                .step_by(share)
                .map(|first| scope.spawn(move || compute(part(first))))
                .collect();
            let joined = started.into_iter().map(|part| part.join());
            joined
                .map(|part| part.expect("a product of slices does not panic"))
                .collect()
        })
    };
    let mut out = vec![0.0; rows * outputs];
    for (index, part) in parts.iter().enumerate() {
        for (output, column) in part.chunks_exact(rows.max(1)).enumerate() {
            for (row, value) in column.iter().enumerate() {
                out[row * outputs + index * share + output] = *value;
            }
        }
    }
    out
}

/// How many threads can run at once. Asking the system takes a dozen calls of it, longer than a small product.
fn processors() -> usize {
    static FOUND: OnceLock<usize> = OnceLock::new();
    *FOUND.get_or_init(|| thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)))
}

/// More do not help: the weights come from memory.
const MAX_THREADS: usize = 8;

/// Multiplications that take longer than the start of a thread, about 30 µs.
const WORTH_A_THREAD: usize = 1 << 18;

/// The product with outputs outermost: `[outputs, rows]`.
fn transposed<W: Copy + Into<f64>>(x: &[f64], inputs: usize, weight: &[W]) -> Vec<f64> {
    let rows = x.len() / inputs;
    let mut out = Vec::with_capacity(rows * (weight.len() / inputs));
    let mut widened = vec![0.0; inputs];
    for row in weight.chunks_exact(inputs) {
        for (wide, narrow) in widened.iter_mut().zip(row) {
            *wide = (*narrow).into();
        }
        let mut fours = x.chunks_exact(4 * inputs);
        for four in &mut fours {
            out.extend(dots(four, &widened));
        }
        for one in fours.remainder().chunks_exact(inputs) {
            out.push(dot(one, &widened));
        }
    }
    out
}

const LANES: usize = 8;

/// Four rows at once, so that a weight is loaded once for four products.
fn dots(rows: &[f64], weight: &[f64]) -> [f64; 4] {
    let n = weight.len();
    let (a, rest) = rows.split_at(n);
    let (b, rest) = rest.split_at(n);
    let (c, d) = rest.split_at(n);
    let mut sums = [[0.0; LANES]; 4];
    let whole = n / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let weight: &[f64; LANES] = weight[at..].first_chunk().expect("a whole block");
        for (sum, row) in sums.iter_mut().zip([a, b, c, d]) {
            let row: &[f64; LANES] = row[at..].first_chunk().expect("a whole block");
            for lane in 0..LANES {
                sum[lane] = row[lane].mul_add(weight[lane], sum[lane]);
            }
        }
    }
    let mut out = [0.0; 4];
    for ((out, sum), row) in out.iter_mut().zip(&sums).zip([a, b, c, d]) {
        *out = total(sum, &row[whole..], &weight[whole..]);
    }
    out
}

/// One row, summed in the order of [`dots`].
fn dot(row: &[f64], weight: &[f64]) -> f64 {
    let whole = weight.len() / LANES * LANES;
    let mut sum = [0.0; LANES];
    let blocks = row.as_chunks::<LANES>().0.iter();
    for (row, weight) in blocks.zip(weight.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sum[lane] = row[lane].mul_add(weight[lane], sum[lane]);
        }
    }
    total(&sum, &row[whole..], &weight[whole..])
}

fn total(lanes: &[f64; LANES], row: &[f64], weight: &[f64]) -> f64 {
    let rest = row.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_products() {
        // Small integers: every order of summation is exact.
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 7, 2), (4, 8, 5), (9, 29, 11), (5, 16, 3000)]
        {
            let x: Vec<f64> = (0..rows * inputs)
                .map(|i| (i * 7 % 11) as f64 - 5.0)
                .collect();
            let w: Vec<f32> = (0..outputs * inputs)
                .map(|i| (i * 5 % 13) as f32 - 6.0)
                .collect();
            let found = multiply(&x, inputs, &w);
            for row in 0..rows {
                for output in 0..outputs {
                    let expected: f64 = (0..inputs)
                        .map(|i| x[row * inputs + i] * f64::from(w[output * inputs + i]))
                        .sum();
                    assert_eq!(found[row * outputs + output], expected);
                }
            }
            assert_eq!(found.len(), rows * outputs);
        }
        assert!(multiply(&[], 4, &[1.0_f32; 8]).is_empty());
        assert!(multiply(&[1.0], 0, &[1.0_f32; 8]).is_empty());
    }

    #[test]
    fn one_row_as_among_four() {
        let x: Vec<f64> = (0..5 * 37).map(|i| (f64::from(i)).sin()).collect();
        let w: Vec<f32> = (0..3 * 37).map(|i| (i as f32).cos()).collect();
        let together = multiply(&x, 37, &w);
        for row in 0..5 {
            let alone = multiply(&x[row * 37..][..37], 37, &w);
            assert_eq!(alone, together[row * 3..][..3]);
        }
    }
}
