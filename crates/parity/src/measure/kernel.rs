//! Which instructions compute a block. All of them give the same bits.

use super::histogram::DiffHistogram;
use super::lanes::{COLUMNS, Lanes, Row, Watch};
use super::portable;
use super::ulp::Ulp;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// The instructions that compute a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Whatever the compiler makes of plain code.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// All that this processor has, the fastest last.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if avx2::is_available() {
                all.push(Self(Set::Avx2));
            }
            if avx512::is_available() {
                all.push(Self(Set::Avx512));
            }
        }
        all
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::is_available() {
                return Self(Set::Avx512);
            }
            if avx2::is_available() {
                return Self(Set::Avx2);
            }
        }
        Self::PORTABLE
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Adds rows to `lanes`; `exponents` takes the exponent field of each difference.
    pub(super) fn rows(
        self,
        pair: (&[Row], &[Row]),
        first: u64,
        ulp: Option<Ulp>,
        lanes: &mut Lanes,
        watch: &mut Watch,
        exponents: &mut [[u8; COLUMNS]],
    ) {
        assert!(pair.0.len() == pair.1.len() && pair.0.len() <= exponents.len());
        match self.0 {
            Set::Portable => portable::rows(pair, first, ulp, lanes, watch, exponents),
            // SAFETY: `all` and `best` make this only where the instructions are there, and a kernel cannot be made
            // otherwise; the lengths were compared.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::rows(pair, first, ulp, lanes, watch, exponents) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::rows(pair, first, ulp, lanes, watch, exponents) },
        }
    }

    /// Counts differences by the exponent fields of their binary32.
    pub(super) fn count(self, exponents: &[u8], counts: &mut [u64; DiffHistogram::PLACES]) {
        match self.0 {
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::count(exponents, counts) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::count(exponents, counts) },
            Set::Portable => portable::count(exponents, counts),
        }
    }
}
