//! How large the differences are, by powers of two.

/// Counts of |candidate − reference| by binary exponent.
///
/// Place 0 counts differences of zero (and below 2⁻¹²⁶, where binary32 loses precision), place 1 those below 2⁻⁴³,
/// place k those in [2^(k−45), 2^(k−44)), and the last place all from 2¹⁸ on. Ten places are 3.01 decades. The
/// difference of two `f32` is rounded to `f32` for this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffHistogram {
    counts: [u64; DiffHistogram::PLACES],
}

impl Default for DiffHistogram {
    fn default() -> Self {
        Self {
            counts: [0; Self::PLACES],
        }
    }
}

/// Exponent field of binary32 that belongs to place 0 of unbounded places.
pub(super) const FIRST_EXPONENT: u8 = 127 - 45;

impl DiffHistogram {
    /// Number of places.
    pub const PLACES: usize = 64;

    /// The counts, smallest differences first.
    pub fn counts(&self) -> &[u64; Self::PLACES] {
        &self.counts
    }

    /// Where a place begins: 0 for the first two, then ascending powers of two.
    ///
    /// # Example
    ///
    /// ```
    /// use parity::measure::DiffHistogram;
    /// assert_eq!(DiffHistogram::lower_edge(1), 0.0);
    /// assert_eq!(DiffHistogram::lower_edge(45), 1.0);
    /// ```
    pub fn lower_edge(place: usize) -> f64 {
        if place < 2 {
            0.0
        } else {
            2_f64.powi(place as i32 - 45)
        }
    }

    /// The place of a difference, given the exponent field of its binary32.
    pub(super) fn place(exponent: u8) -> usize {
        let above = usize::from(exponent.saturating_sub(FIRST_EXPONENT));
        above.max(usize::from(exponent > 0)).min(Self::PLACES - 1)
    }

    /// Counts one difference.
    pub(super) fn add(&mut self, difference: f64) {
        let exponent = ((difference as f32).to_bits() >> 23) as u8;
        self.counts[Self::place(exponent)] += 1;
    }

    pub(super) fn counts_mut(&mut self) -> &mut [u64; Self::PLACES] {
        &mut self.counts
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_edges_agree() {
        let mut seen = Vec::new();
        for difference in [
            0.0,
            1e-40,
            1e-20,
            2_f64.powi(-43),
            0.75,
            1.0,
            1.99,
            2.0,
            1e9,
        ] {
            let mut histogram = DiffHistogram::default();
            histogram.add(difference);
            let place = histogram
                .counts
                .iter()
                .position(|count| *count == 1)
                .unwrap();
            assert!(
                DiffHistogram::lower_edge(place) <= difference,
                "{difference}"
            );
            if place > 1 && place + 1 < DiffHistogram::PLACES {
                assert!(
                    difference < DiffHistogram::lower_edge(place + 1),
                    "{difference}"
                );
            }
            seen.push(place);
        }
        assert_eq!(seen, [0, 0, 1, 2, 44, 45, 45, 46, 63]);
    }
}
