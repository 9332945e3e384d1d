//! Counts over the bits of a checkpoint's values.

use half::{bf16, f16};
use orch_log::format::{Dtype, Record};

/// What is counted of one checkpoint.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// The type of its first record; records of other types are not counted.
    pub(super) dtype: Option<Dtype>,
    /// Finite values that are not zero, and those of them above zero.
    pub(super) values: u32,
    pub(super) positive: u32,
    /// Binary logarithms of the magnitudes: all, and those at even and odd places.
    pub(super) logs: Spread,
    pub(super) logs_at: [Spread; 2],
    /// Values whose magnitude is ordinary, 2^-20 to 2^20.
    pub(super) ordinary: u32,
    /// Values that are ordinary with their bytes swapped.
    pub(super) swapped_ordinary: u32,
    /// `f32` whose lower half is an ordinary bf16, 2^-10 to 2^6, or an ordinary f16, 2^-8 to 2^5.
    pub(super) low_as_bf16: u32,
    pub(super) low_as_f16: u32,
    /// `f32` whose bits are an integer below 2^20.
    pub(super) small_integers: u32,
    /// Integers whose bits are an ordinary `f32`.
    pub(super) as_f32_ordinary: u32,
    /// Zeros or -1 at odd places, and positive values at even ones.
    pub(super) extension_at_odd: u32,
    pub(super) positive_at_even: u32,
    /// Values in ±[0.5, 4), and those at odd places in ±[0.25, 4).
    pub(super) near_one: u32,
    pub(super) near_one_at_odd: u32,
    /// Which orders of magnitude the values at even places have, one bit each: octaves of an f16, eight octaves of a wider type.
    pub(super) magnitudes_at_even: u64,
    /// `f32` at even places whose lower 29 bits are zero, as the lower word of an f64 that was an f32.
    pub(super) short_at_even: u32,
    /// Places looked at, even and odd.
    pub(super) places: [u32; 2],
    /// For 16-bit types: how many values lie in each octave when read as the other 16-bit type.
    pub(super) other_octaves: Vec<u32>,
    /// Different bit patterns, up to [`Profile::DISTINCT`]: a repeated token repeats its row, and proves nothing twice.
    pub(super) distinct: Vec<u64>,
    /// True where statistics over all elements reach beyond the subnormals.
    pub(super) reaches_normal: bool,
}

/// Mean and variance of what was added.
#[derive(Debug, Default)]
pub(super) struct Spread {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// How many were added.
    pub(super) fn count(&self) -> u32 {
        self.count as u32
    }

    /// Standard deviation; 0 of nothing.
    pub(super) fn deviation(&self) -> f64 {
        if self.count == 0.0 {
            return 0.0;
        }
        let mean = self.sum / self.count;
        (self.squares / self.count - mean * mean).max(0.0).sqrt()
    }
}

impl Profile {
    /// Values of a checkpoint that are looked at: more make nothing surer.
    const ENOUGH: u32 = 4096;
    /// Values of one record: the head of a long one is like the rest.
    const PER_RECORD: usize = 64;
    /// Different patterns that are told apart.
    pub(super) const DISTINCT: usize = 32;
    /// Octaves of a bf16.
    const OCTAVES: usize = 256;

    /// Counts the values of a record.
    pub(super) fn observe(&mut self, record: &Record) {
        let dtype = *self.dtype.get_or_insert(record.dtype);
        if dtype != record.dtype || self.values >= Self::ENOUGH {
            return;
        }
        if let Some(stats) = &record.stats {
            self.reaches_normal |=
                stats.max.abs().max(stats.min.abs()) >= f64::from(f32::MIN_POSITIVE);
        }
        for (index, value) in record
            .values
            .iter()
            .copied()
            .take(Self::PER_RECORD)
            .enumerate()
        {
            self.places[index % 2] += 1;
            self.extension_at_odd += u32::from(index % 2 == 1 && (value == 0.0 || value == -1.0));
            self.positive_at_even += u32::from(index % 2 == 0 && value > 0.0);
            if value.is_finite() && value != 0.0 {
                self.count(value, index % 2, dtype);
            }
        }
    }

    fn count(&mut self, value: f64, parity: usize, dtype: Dtype) {
        let size = value.abs();
        self.values += 1;
        self.positive += u32::from(value > 0.0);
        self.logs.add(size.log2());
        self.logs_at[parity].add(size.log2());
        self.ordinary += u32::from(is_ordinary(value));
        self.near_one += u32::from((0.5..4.0).contains(&size));
        self.near_one_at_odd += u32::from(parity == 1 && (0.25..4.0).contains(&size));
        if parity == 0 {
            let octave = size.log2().floor() as i32;
            let bin = if dtype == Dtype::F16 {
                octave + 25
            } else {
                (octave + 152) / 8
            };
            self.magnitudes_at_even |= 1 << bin.clamp(0, 63);
            self.short_at_even += u32::from((value as f32).to_bits().trailing_zeros() >= 29);
        }
        match dtype {
            Dtype::F32 => self.count_f32((value as f32).to_bits()),
            Dtype::F16 => {
                let bits = f16::from_f64(value).to_bits();
                self.note_distinct(bits.into());
                let swapped = f16::from_bits(bits.swap_bytes()).to_f64().abs();
                self.swapped_ordinary +=
                    u32::from((2_f64.powi(-8)..2_f64.powi(5)).contains(&swapped));
                self.note_octave(bf16::from_bits(bits).to_f64());
            }
            Dtype::Bf16 => {
                let bits = bf16::from_f64(value).to_bits();
                self.note_distinct(bits.into());
                self.swapped_ordinary +=
                    u32::from(is_ordinary(bf16::from_bits(bits.swap_bytes()).to_f64()));
                self.note_octave(f16::from_bits(bits).to_f64());
            }
            Dtype::I32 | Dtype::U32 => {
                let bits = value as i64 as u32;
                self.note_distinct(bits.into());
                self.as_f32_ordinary += u32::from(is_ordinary(f32::from_bits(bits).into()));
                self.swapped_ordinary += u32::from(bits >= 1 << 20 && bits.swap_bytes() < 1 << 20);
            }
            _ => {}
        }
    }

    fn count_f32(&mut self, bits: u32) {
        self.note_distinct(bits.into());
        self.swapped_ordinary += u32::from(is_ordinary(f32::from_bits(bits.swap_bytes()).into()));
        self.small_integers += u32::from(bits < 1 << 20);
        let low = bits as u16;
        let within = |size: f64, least: i32, most: i32| {
            (2_f64.powi(least)..2_f64.powi(most)).contains(&size)
        };
        self.low_as_bf16 += u32::from(within(bf16::from_bits(low).to_f64().abs(), -10, 6));
        self.low_as_f16 += u32::from(within(f16::from_bits(low).to_f64().abs(), -8, 5));
    }

    fn note_distinct(&mut self, bits: u64) {
        if self.distinct.len() < Self::DISTINCT && !self.distinct.contains(&bits) {
            self.distinct.push(bits);
        }
    }

    fn note_octave(&mut self, value: f64) {
        let octave = if value.is_finite() && value != 0.0 {
            value.abs().log2().floor() + 128.0
        } else {
            0.0
        };
        self.other_octaves.resize(Self::OCTAVES, 0);
        self.other_octaves[(octave.max(0.0) as usize).min(Self::OCTAVES - 1)] += 1;
    }

    /// Octaves from the smallest to the largest value read as the other 16-bit type, and how much farther the median is from
    /// the smallest than from the largest.
    ///
    /// Where the density is flat near zero, as of a Gaussian, half of the values are lost with each octave down, so that the ratio
    /// of 100 and more values is 2 to 3; where the logarithms are symmetric it is 1.
    pub(super) fn other_reading(&self) -> (usize, f64) {
        let octaves = &self.other_octaves;
        let total: u32 = octaves.iter().sum();
        let mut below = 0;
        let median = octaves
            .iter()
            .position(|count| {
                below += count;
                2 * below >= total
            })
            .unwrap_or(0);
        let first = octaves.iter().position(|count| *count > 0).unwrap_or(0);
        let last = octaves.iter().rposition(|count| *count > 0).unwrap_or(0);
        (
            (last + 1).saturating_sub(first),
            ((median - first) as f64 + 0.5) / ((last - median) as f64 + 0.5),
        )
    }

    /// `part` of the values, from 0 to 1.
    pub(super) fn share(&self, part: u32) -> f64 {
        f64::from(part) / f64::from(self.values.max(1))
    }
}

fn is_ordinary(value: f64) -> bool {
    (2_f64.powi(-20)..2_f64.powi(20)).contains(&value.abs())
}
