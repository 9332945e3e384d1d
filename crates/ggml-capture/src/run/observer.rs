//! Whether watching changed what was watched.

use crate::Error;
use crate::llama::{Context, Entry};

/// What a run without a callback, beside the watched one, says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observer {
    /// Rows of logits that were compared.
    pub rows: usize,
    /// Rows of which some bit differs.
    pub perturbed: usize,
    /// The largest distance of a row from the unwatched one, in units of that one's length (L2).
    pub worst: f64,
}

impl Observer {
    /// True where every bit of every row was the same.
    pub fn is_exact(&self) -> bool {
        self.rows > 0 && self.perturbed == 0
    }

    /// Computes `batch` in the unwatched context too, and compares all rows of logits bit by bit.
    pub(super) fn compare(
        &mut self,
        batch: &[Entry],
        watched: &Context<'_>,
        unwatched: &mut Context<'_>,
    ) -> Result<(), Error> {
        unwatched.decode_batch(batch)?;
        for index in 0..batch.len() {
            let watched = watched.logits(index).unwrap_or_default();
            self.add(watched, unwatched.logits(index).unwrap_or_default());
        }
        Ok(())
    }

    fn add(&mut self, watched: &[f32], unwatched: &[f32]) {
        self.rows += 1;
        let same = watched.len() == unwatched.len()
            && watched
                .iter()
                .zip(unwatched)
                .all(|(a, b)| a.to_bits() == b.to_bits());
        if same {
            return;
        }
        self.perturbed += 1;
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
        let pairs = watched.iter().zip(unwatched);
        let error = squares(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let size = squares(&mut unwatched.iter().map(|x| f64::from(*x)));
        let relative = (error / size).sqrt();
        // Not a number is as far as can be.
        self.worst = if relative.is_nan() {
            f64::INFINITY
        } else {
            self.worst.max(relative)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut observer = Observer::default();
        assert!(!observer.is_exact(), "nothing was compared");
        observer.add(&[3.0, 4.0], &[3.0, 4.0]);
        assert!(observer.is_exact());
        // |(0, 0.5)| / |(3, 4)| = 0.1.
        observer.add(&[3.0, 4.5], &[3.0, 4.0]);
        assert_eq!((observer.rows, observer.perturbed), (2, 1));
        assert!((observer.worst - 0.1).abs() < 1e-12);
        assert!(!observer.is_exact());
    }

    #[test]
    fn bits_count_and_not_values() {
        let mut observer = Observer::default();
        observer.add(&[0.0, f32::NAN], &[0.0, f32::NAN]);
        assert!(observer.is_exact());
        observer.add(&[0.0], &[-0.0]);
        assert!(!observer.is_exact());
        observer.add(&[f32::NAN], &[1.0]);
        assert_eq!(observer.worst, f64::INFINITY);
    }
}
