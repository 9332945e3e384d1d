//! The bands of the comparison specification, on the largest absolute difference.

/// How far apart two tensors are, by their largest absolute difference alone.
///
/// The bands know nothing of magnitudes: in the middle of a model, where activations reach hundreds, plain rounding
/// lands in `warning`. They are printed because people ask for them, and are the verdict only with `--bands`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Below 1e-5.
    Exact,
    /// Below 1e-3.
    Close,
    /// Below 1e-1.
    Acceptable,
    /// Below 1.
    Warning,
    /// 1 and above, and non-finite values that do not match.
    Fail,
}

impl Band {
    /// All bands, the best first.
    pub const ALL: [Self; 5] = [
        Self::Exact,
        Self::Close,
        Self::Acceptable,
        Self::Warning,
        Self::Fail,
    ];

    /// The band of a largest absolute difference; NaN fails.
    ///
    /// # Example
    ///
    /// ```
    /// use parity::judge::Band;
    /// assert_eq!(Band::of(9.9e-6), Band::Exact);
    /// assert_eq!(Band::of(1e-5), Band::Close);
    /// assert_eq!(Band::of(f64::INFINITY), Band::Fail);
    /// ```
    pub fn of(max_abs_diff: f64) -> Self {
        Self::ALL
            .into_iter()
            .find(|band| band.below().is_some_and(|limit| max_abs_diff < limit))
            .unwrap_or(Self::Fail)
    }

    /// What the largest absolute difference stays below; `None` for the last band.
    pub const fn below(self) -> Option<f64> {
        match self {
            Self::Exact => Some(1e-5),
            Self::Close => Some(1e-3),
            Self::Acceptable => Some(1e-1),
            Self::Warning => Some(1.0),
            Self::Fail => None,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Close => "close",
            Self::Acceptable => "acceptable",
            Self::Warning => "warning",
            Self::Fail => "fail",
        }
    }
}

/// How many pairs lie in each band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandCounts {
    counts: [u64; 5],
    /// Pairs of whose elements nothing is known but a sketch.
    pub unknown: u64,
}

impl BandCounts {
    /// Counts one pair.
    pub fn add(&mut self, max_abs_diff: Option<f64>) {
        match max_abs_diff {
            Some(difference) => self.counts[Band::of(difference) as usize] += 1,
            None => self.unknown += 1,
        }
    }

    /// Pairs in a band.
    pub fn count(&self, band: Band) -> u64 {
        self.counts[band as usize]
    }
}
