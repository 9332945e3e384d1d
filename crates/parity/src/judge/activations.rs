//! What products with quantised weights make of their activations.

use super::weights::WeightClass;
use crate::trace::RunInfo;

/// What there is to know of one product with a weight matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Product {
    /// Largest magnitude of its input over the root mean square.
    pub(super) crest: Option<f64>,
    /// How many times smaller its output is than what the same matrix makes of other inputs of that size: 1 or more.
    pub(super) cancellation: f64,
    /// It is the one with the output matrix.
    pub(super) makes_logits: bool,
}

/// How an engine rounds activations before a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rounding {
    /// To a format whose error is relative to each element.
    Floats,
    /// To 8-bit integers with one step for each block of this many elements.
    Blocks(u16),
}

/// Elements of a block that ggml rounds activations in: Q8_0 and Q8_1, and Q8_K.
const SHORT: u16 = 32;
const LONG: u16 = 256;

impl Rounding {
    /// The rounding that goes with weights of this name, the coarsest where it does not tell.
    pub(super) fn of_weights(name: Option<&str>) -> Self {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return Self::Floats;
        };
        // The last type of a name counts: `mostly Q8_0`.
        let is_short = ["q8_0", "q4_0", "q4_1"]
            .iter()
            .any(|known| name.ends_with(known));
        match WeightClass::of_weights(&name) {
            Some(WeightClass::Bits8 | WeightClass::Bits4) if is_short => Self::Blocks(SHORT),
            // What a file says are most of its weights; those of the K-quants fall back to Q5_0 and Q8_0 where a row
            // is no multiple of 256.
            Some(WeightClass::Bits4) => Self::Blocks(LONG),
            _ => Self::Floats,
        }
    }

    /// The same for the output matrix, which llama.cpp quantises to Q6_K whatever the others are below 8 bits.
    fn of_output(self, class: WeightClass) -> Self {
        match self {
            Self::Blocks(_) if class == WeightClass::Bits4 => Self::Blocks(LONG),
            other => other,
        }
    }

    /// Relative RMSE that the rounding of activations may add to a product; `None` for floats.
    ///
    /// # Source
    ///
    /// Errors of activations have no direction that the matrix prefers: relative to what it makes of other inputs they
    /// stay as large as they are. Two engines round the two sides of a difference independently once their activations
    /// differ by a step, which makes √2 of one rounding, more where a GPU makes more of it; twice that is the margin
    /// (`docs/noise.md`: what clean runs use of it).
    pub(super) fn of_product(
        self,
        class: WeightClass,
        gains: [f64; 2],
        product: &Product,
    ) -> Option<f64> {
        let rounding = if product.makes_logits {
            self.of_output(class)
        } else {
            self
        };
        let error = rounding.relative_error(product.crest)?;
        Some(2.0 * gains[0].hypot(gains[1]) * error)
    }

    /// How many times larger than the weights is what a run's kernels multiply rounded activations with.
    ///
    /// # Source
    ///
    /// ggml's CUDA kernels, and candle's, multiply the floors of 4- and 5-bit blocks with sums of activations that were not
    /// rounded (`crate::recompute`, `cuda vectors` and `cuda tiles`), so that what rounding did to them meets the weights' integers
    /// alone, which count from 0. Of 32 normally distributed weights the smallest is 2.07 standard deviations below the mean
    /// (expected value of an order statistic); √(1 + 2.07²) = 2.3.
    pub(super) fn gain(run: Option<&RunInfo>) -> f64 {
        let Some(run) = run.filter(|run| run.on_gpu()) else {
            return 1.0;
        };
        let model = run.model.as_ref();
        let weights = model.and_then(|model| model.weights.as_deref());
        let name = weights.map(str::to_ascii_lowercase).unwrap_or_default();
        let has_floors = ["q2", "q4", "q5"].iter().any(|bits| name.contains(bits));
        if has_floors { 2.3 } else { 1.0 }
    }

    /// Relative RMSE of rounded activations whose largest magnitude is `crest` times their root mean square; `None`
    /// for floats.
    ///
    /// # Source
    ///
    /// A block of B elements with largest magnitude m is rounded in steps of m / 127, which is an error of
    /// m / (127 √12) in each element. m is at most crest · rms; and m² is at most the energy of its block, so that the
    /// squared errors of all blocks together are at most B / (12 · 127²) of the energy of all.
    fn relative_error(self, crest: Option<f64>) -> Option<f64> {
        match self {
            Self::Floats => None,
            Self::Blocks(len) => {
                let bound = f64::from(len).sqrt();
                Some(crest.map_or(bound, |crest| crest.min(bound)) / (127.0 * 12f64.sqrt()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative RMSE of `values` rounded in blocks, done and not derived.
    fn rounded(values: &[f64], len: usize) -> f64 {
        let mut error = 0.0;
        for block in values.chunks(len) {
            let step = block.iter().fold(0.0_f64, |m, x| m.max(x.abs())) / 127.0;
            error += block
                .iter()
                .map(|x| ((x / step).round() * step - x).powi(2))
                .sum::<f64>();
        }
        (error / values.iter().map(|x| x * x).sum::<f64>()).sqrt()
    }

    #[test]
    fn no_rounding_exceeds_the_bound_and_the_worst_comes_near() {
        // A fixed sequence of irregular numbers with one large element.
        let irregular: Vec<f64> = (0..1024)
            .map(|i| f64::from(i * i % 1013) / 506.5 - 1.0)
            .collect();
        let mut nearest = [0.0_f64; 2];
        for outlier in [0.0, 3.0, 10.0, 30.0, 300.0] {
            let mut values = irregular.clone();
            values[517] += outlier;
            let rms = (values.iter().map(|x| x * x).sum::<f64>() / 1024.0).sqrt();
            let crest = values.iter().fold(0.0_f64, |m, x| m.max(x.abs())) / rms;
            for (nearest, len) in nearest.iter_mut().zip([SHORT, LONG]) {
                let found = rounded(&values, len.into());
                let bound = Rounding::Blocks(len).relative_error(Some(crest));
                let used = found / bound.unwrap();
                assert!(used <= 1.05, "{outlier} {len}: {used}");
                *nearest = nearest.max(used);
            }
        }
        assert!(nearest.iter().all(|used| *used > 0.9), "{nearest:?}");
    }

    #[test]
    fn integers_that_count_from_zero_make_more_of_an_error() {
        // Sums of uniform numbers are nearly normal: blocks of 32 in 15 steps between the smallest and the largest, done.
        let mut state = 1_u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let (mut of_integers, mut of_weights) = (0.0, 0.0);
        for _ in 0..2000 {
            let block: Vec<f64> = (0..32)
                .map(|_| (0..12).map(|_| uniform()).sum::<f64>())
                .collect();
            let floor = block.iter().copied().fold(f64::INFINITY, f64::min);
            of_integers += block.iter().map(|w| (w - floor).powi(2)).sum::<f64>();
            of_weights += block.iter().map(|w| w * w).sum::<f64>();
        }
        let run = |device: &str, weights: &str| RunInfo {
            device: Some(device.to_owned()),
            model: Some(crate::trace::RunModel {
                weights: Some(weights.to_owned()),
                ..crate::trace::RunModel::default()
            }),
            ..RunInfo::default()
        };
        let expected = (of_integers / of_weights).sqrt();
        let found = Rounding::gain(Some(&run("cuda:0", "Q4_1")));
        assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
        for (device, weights) in [("cpu", "Q4_1"), ("cuda:0", "Q8_0"), ("cuda:0", "Q6_K")] {
            assert_eq!(Rounding::gain(Some(&run(device, weights))), 1.0);
        }
    }

    #[test]
    fn blocks_by_the_name_of_the_weights() {
        for (name, expected) in [
            ("Q4_1", Rounding::Blocks(32)),
            ("mostly Q8_0", Rounding::Blocks(32)),
            ("q4_K", Rounding::Blocks(256)),
            ("q5_0", Rounding::Blocks(256)),
            ("F16", Rounding::Floats),
            ("f8_e4m3", Rounding::Floats),
        ] {
            assert_eq!(Rounding::of_weights(Some(name)), expected, "{name}");
        }
    }
}
