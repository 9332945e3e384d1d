//! Rotary embeddings, with the numbers that the reference uses.

use crate::explain::{Scene, Side};
use crate::recompute::Pairing;
use crate::recompute::formula::{angle, lanes_of, turned};
use crate::tensor::Dense;

/// The numbers of a rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Lanes i and i + dims/2 turn together; else 2i and 2i + 1.
    pub half_split: bool,
    /// Leading lanes of each head that turn.
    pub dims: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Divisor of each pair's frequency.
    pub factors: Vec<f64>,
    /// What these numbers leave unexplained of the reference.
    pub reference_residual: f64,
}

/// Bases that models use.
pub const USUAL_BASES: [f64; 14] = [
    1e4, 5e5, 1e6, 1e5, 1e7, 5e6, 2.5e5, 1.5e5, 1.3e5, 1.6e5, 8e6, 3.2e4, 2.5e4, 5e4,
];

impl Rope {
    fn pairing(&self) -> Pairing {
        if self.half_split {
            Pairing::Halves
        } else {
            Pairing::Adjacent
        }
    }

    /// The angle of each pair at a position, in radians.
    pub fn angles(&self, position: f64) -> Vec<f64> {
        (0..self.dims / 2)
            .map(|pair| {
                let divisor = self.factors.get(pair).copied().unwrap_or(1.0);
                angle(position, self.theta, 2.0, pair, self.dims) / divisor
            })
            .collect()
    }

    /// Turns every head of every row; `turn(row, head, pair)` gives sine and cosine.
    pub fn turned(&self, x: &Dense, turn: &dyn Fn(usize, usize, usize) -> (f64, f64)) -> Dense {
        turned(x, self.dims / 2, self.pairing(), self.pairing(), turn)
    }

    /// The rotation of rows at the given positions.
    pub fn at(&self, x: &Dense, positions: &[f64]) -> Dense {
        let angles: Vec<Vec<f64>> = positions.iter().map(|at| self.angles(*at)).collect();
        self.turned(x, &|row, _, pair| angles[row][pair].sin_cos())
    }

    /// Angle and amplitude of each pair of one row that turn `x` into `y`, over all heads together.
    pub fn phases(&self, x: &Dense, y: &Dense, row: usize) -> Vec<(f64, f64)> {
        let [_, heads, lanes] = x.shape[..] else {
            return Vec::new();
        };
        (0..self.dims / 2)
            .map(|pair| {
                let (a, b) = lanes_of(self.pairing(), pair, self.dims / 2);
                let (mut real, mut imaginary, mut square) = (0.0, 0.0, 0.0);
                for head in 0..heads {
                    let start = (row * heads + head) * lanes;
                    let (xa, xb) = (x.data[start + a], x.data[start + b]);
                    let (ya, yb) = (y.data[start + a], y.data[start + b]);
                    real += xa * ya + xb * yb;
                    imaginary += xa * yb - xb * ya;
                    square += xa * xa + xb * xb;
                }
                (imaginary.atan2(real), real.hypot(imaginary) / square)
            })
            .collect()
    }

    /// The base that makes these angles at a position: the slow pairs first, whose angles are surely below half a
    /// turn, then those that the base found so far keeps below it.
    pub fn base_of(&self, angles: &[f64], position: f64) -> Option<f64> {
        let pairs = angles.len();
        let mut slope = None;
        for used in (1..pairs).rev() {
            let (mut xx, mut xy) = (0.0, 0.0);
            for (pair, angle) in angles.iter().enumerate().skip(used) {
                let factor = self.factors.get(pair).copied().unwrap_or(1.0);
                let turned = angle * factor / position;
                if turned <= 0.0 {
                    return slope.map(|slope: f64| slope.exp());
                }
                let x = 2.0 * pair as f64 / self.dims as f64;
                xx += x * x;
                xy -= x * turned.ln();
            }
            let found = xy / xx;
            let next = position * (-found * 2.0 * (used - 1) as f64 / self.dims as f64).exp();
            slope = Some(found);
            if next > 2.5 {
                break;
            }
        }
        slope.map(f64::exp)
    }

    /// True where nothing turns.
    pub fn is_none(&self) -> bool {
        !self.factors.is_empty() && self.factors.iter().all(|factor| factor.is_infinite())
    }

    /// The numbers of the scene's rotation: those of the model file where the reference follows them, else whatever
    /// the reference does.
    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let x = scene.input(Side::Reference)?;
        let [_, _, lanes] = x.shape[..] else {
            return None;
        };
        let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
        let hparams = scene.model.map(|model| model.hparams());
        let mut bases = USUAL_BASES.to_vec();
        bases.extend(
            hparams.map(|hparams| hparams.theta_of(scene.site.layer.unwrap_or(0) as usize)),
        );
        let mut best: Option<Self> = None;
        let mut consider = |mut rope: Self| {
            rope.reference_residual = scene.reference_residual(&rope.at(&x, &positions));
            let better = best
                .as_ref()
                .is_none_or(|best| rope.reference_residual < best.reference_residual);
            if better {
                best = Some(rope);
            }
        };
        let plain = |half_split, dims, theta| Self {
            half_split,
            dims,
            theta,
            factors: Vec::new(),
            reference_residual: f64::INFINITY,
        };
        for dims in [lanes, lanes / 2, lanes / 4, 3 * lanes / 4] {
            let dims = dims / 2 * 2;
            for half_split in [false, true] {
                bases
                    .iter()
                    .for_each(|theta| consider(plain(half_split, dims, *theta)));
            }
        }
        let row = positions.iter().rposition(|at| *at > 0.0)?;
        // A layer without positions.
        let mut still = plain(true, lanes, USUAL_BASES[0]);
        still.factors = vec![f64::INFINITY; lanes / 2];
        still.reference_residual = scene.reference_residual(&x);
        if still.reference_residual == 0.0 {
            return Some(still);
        }
        if best
            .as_ref()
            .is_none_or(|best| best.reference_residual > 1e-4)
        {
            for half_split in [false, true] {
                let rope = plain(half_split, lanes, 1.0);
                let angles: Vec<f64> = rope
                    .phases(&x, &scene.reference, row)
                    .into_iter()
                    .map(|(angle, _)| angle)
                    .collect();
                if let Some(theta) = rope.base_of(&angles, positions[row]) {
                    let mut consider = |mut rope: Self| {
                        rope.reference_residual =
                            scene.reference_residual(&rope.at(&x, &positions));
                        if best
                            .as_ref()
                            .is_none_or(|best| rope.reference_residual < best.reference_residual)
                        {
                            best = Some(rope);
                        }
                    };
                    consider(plain(half_split, lanes, theta));
                    // Whatever angles the reference has, as divisors of the usual frequencies.
                    let mut scaled = plain(half_split, lanes, theta);
                    let unscaled = scaled.angles(positions[row]);
                    scaled.factors = unscaled.iter().zip(&angles).map(|(a, b)| a / b).collect();
                    consider(scaled);
                }
            }
        }
        best
    }
}
