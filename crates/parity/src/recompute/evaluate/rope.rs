//! Rotary embedding.

use super::round::round_to;
use super::{Context, Failure};
use crate::recompute::formula::{angle, turned};
use crate::recompute::kind::{Frequencies, Positions, Rope};
use crate::recompute::weights::Arithmetic;
use crate::tensor::Dense;

impl Context<'_> {
    /// Rotary embedding (Su et al. 2021) of `[tokens, heads, lanes]`.
    pub(super) fn rope(&self, rope: &Rope, x: &Dense) -> Result<Dense, Failure> {
        let &[_, heads, lanes] = x.shape.as_slice() else {
            return Err(Failure::Shape(format!("{:?} is rotated", x.shape)));
        };
        if rope.dims > lanes || !rope.dims.is_multiple_of(2) {
            return Err(Failure::Shape(format!(
                "{} lanes of {lanes} are rotated",
                rope.dims
            )));
        }
        let pairs = rope.dims / 2;
        let divisors = match &rope.frequencies {
            Frequencies::Plain => None,
            Frequencies::Given(given) => Some(given.clone()),
            Frequencies::Tensor(name) => {
                let data = self.tensor(name)?.data;
                Some(data.iter().map(|x| f64::from(*x)).collect())
            }
        };
        if divisors.as_ref().is_some_and(|given| given.len() != pairs) {
            return Err(Failure::Shape(format!(
                "{pairs} pairs need as many divisors"
            )));
        }
        let turns = Turns {
            rope,
            divisors,
            engine: self.arithmetic == Arithmetic::Engine,
        };
        // All heads of a row turn alike, unless the mistake is that each turns as if its number were the position.
        let by_head = rope.position == Positions::Head;
        let angles: Vec<Vec<(f64, f64)>> = if by_head {
            (0..heads).map(|head| turns.of(head as f64)).collect()
        } else {
            let places = (0..x.n_rows()).map(|row| self.position(rope.position, row, 0));
            places.map(|place| turns.of(place)).collect()
        };
        let turn =
            |row: usize, head: usize, pair: usize| angles[if by_head { head } else { row }][pair];
        let mut out = x.clone();
        for _ in 0..rope.times {
            out = turned(&out, pairs, rope.pairing, rope.output, &turn);
        }
        Ok(out)
    }

    /// The position that a row is taken to have.
    pub(super) fn position(&self, rule: Positions, row: usize, head: usize) -> f64 {
        let own = self.inputs.position(row);
        let first = self.inputs.pass_first.get(row).copied().unwrap_or(own);
        match rule {
            Positions::Absolute { offset, scale } => (own as f64 * scale + offset).max(0.0),
            Positions::Row => (own - first) as f64,
            Positions::First => first as f64,
            Positions::Head => head as f64,
        }
    }
}

/// Sines and cosines.
struct Turns<'r> {
    rope: &'r Rope,
    divisors: Option<Vec<f64>>,
    engine: bool,
}

impl Turns<'_> {
    /// Sine and cosine of each pair at a position.
    fn of(&self, position: f64) -> Vec<(f64, f64)> {
        let rope = self.rope;
        let pairs = rope.dims / 2;
        let divisor = |pair: usize| self.divisors.as_ref().map_or(1.0, |given| given[pair]);
        let mut out = Vec::with_capacity(pairs);
        if self.engine {
            // ggml's `ggml_rope_cache_init`: the angle is multiplied on from pair to pair, in f32.
            let step = -rope.exponent / rope.dims as f64;
            let factor = (rope.theta as f32).powf(step as f32);
            let mut angle = position as f32;
            for pair in 0..pairs {
                let (sin, cos) = (angle / divisor(pair) as f32).sin_cos();
                out.push((f64::from(sin), f64::from(cos)));
                angle *= factor;
            }
        } else {
            for pair in 0..pairs {
                let angle = angle(position, rope.theta, rope.exponent, pair, rope.dims);
                out.push((angle / divisor(pair)).sin_cos());
            }
        }
        for (sin, cos) in &mut out {
            if rope.reversed {
                *sin = -*sin;
            }
            (*sin, *cos) = (*sin * rope.amplitude, *cos * rope.amplitude);
            if let Some(dtype) = rope.rounded {
                (*sin, *cos) = (round_to(dtype, *sin), round_to(dtype, *cos));
            }
        }
        out
    }
}
