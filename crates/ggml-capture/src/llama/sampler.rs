//! Choosing the next token.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;

/// Chooses tokens from logits: the largest at temperature 0, otherwise at random with a seed.
#[derive(Debug)]
pub struct Sampler {
    temperature: f32,
    random: StdRng,
}

impl Sampler {
    /// `temperature` 0 is greedy, and the only setting under which two engines can be compared unless
    /// their tokens are forced.
    pub fn new(temperature: f32, seed: u64) -> Self {
        Self {
            temperature,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The chosen token. Of equal logits the lowest id is taken, as llama.cpp's greedy sampler does; NaN
    /// is never chosen.
    ///
    /// `None` for empty logits or nothing but NaN.
    pub fn pick(&mut self, logits: &[f32]) -> Option<i32> {
        let best = greedy(logits)?;
        let chosen = if self.temperature > 0.0 {
            self.draw(logits, logits[best]).unwrap_or(best)
        } else {
            best
        };
        i32::try_from(chosen).ok()
    }

    fn draw(&mut self, logits: &[f32], largest: f32) -> Option<usize> {
        let weight = |logit: &f32| {
            let weight = f64::from((logit - largest) / self.temperature).exp();
            if weight.is_nan() { 0.0 } else { weight }
        };
        let distribution = WeightedIndex::new(logits.iter().map(weight)).ok()?;
        Some(distribution.sample(&mut self.random))
    }
}

fn greedy(logits: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, logit) in logits.iter().enumerate() {
        if !logit.is_nan() && best.is_none_or(|best| *logit > logits[best]) {
            best = Some(index);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_lowest_id_of_equal_logits_and_never_nan() {
        let mut sampler = Sampler::new(0.0, 0);
        assert_eq!(sampler.pick(&[1.0, 3.0, f32::NAN, 3.0]), Some(1));
        assert_eq!(sampler.pick(&[f32::NAN, f32::NEG_INFINITY]), Some(1));
        assert_eq!(sampler.pick(&[f32::NAN]), None);
        assert_eq!(sampler.pick(&[]), None);
    }

    #[test]
    fn draws_follow_the_softmax_of_the_logits() {
        // softmax([ln 3, 0]) = [0.75, 0.25]; 4 sigma of 10,000 draws is 0.017.
        let logits = [3.0f32.ln(), 0.0];
        let mut sampler = Sampler::new(1.0, 42);
        let zeros = (0..10_000)
            .filter(|_| sampler.pick(&logits) == Some(0))
            .count();
        assert!(
            (zeros as f64 / 1e4 - 0.75).abs() < 0.018,
            "{zeros} of 10000"
        );
    }
}
