//! How values and errors of one pair are spread: over magnitudes, and over the axes of the tensor.

use super::partial::{BLOCK, Range};
use crate::error::Error;
use crate::tensor::{Numbers, Region};

/// How finely a pair is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The most groups an axis is divided into.
    pub axis: usize,
    /// The most rows and columns of the map of the two innermost axes.
    pub map: [usize; 2],
}

impl Resolution {
    /// For a report that holds hundreds of pairs.
    pub const OVERVIEW: Self = Self {
        axis: 64,
        map: [16, 32],
    };
    /// For one pair alone.
    pub const FULL: Self = Self {
        axis: 1024,
        map: [128, 256],
    };
}

/// Where the values of both sides and their differences lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// Elements where both values are finite: the histograms count these.
    pub elements: u64,
    /// The lower edge of the first bin of `values` and the upper edge of the last.
    pub value_range: Range,
    /// Values of reference and candidate in [`Spread::BINS`] bins of equal width.
    pub values: [Vec<u64>; 2],
    /// Elements without a difference.
    pub equal: u64,
    /// |candidate − reference| of the others, [`Spread::PER_DECADE`] bins a decade from
    /// 10^[`Spread::FIRST_DECADE`] on; the first bin takes all smaller ones, the last all larger ones.
    pub differences: Vec<u64>,
    /// The error along each axis longer than 1; empty where not all elements are known.
    pub axes: Vec<AxisSpread>,
    /// The error over the two innermost axes longer than 1; absent where not all elements are known.
    pub map: Option<MapSpread>,
}

/// The error along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisSpread {
    /// Which axis.
    pub axis: usize,
    /// Its length.
    pub length: usize,
    /// Places in one group; the last group may have fewer.
    pub group: usize,
    /// NMSE of each group.
    pub nmse: Vec<f64>,
}

/// The error over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct MapSpread {
    /// Which axes: rows, columns.
    pub axes: [usize; 2],
    /// Their lengths.
    pub lengths: [usize; 2],
    /// Places in one group of each.
    pub groups: [usize; 2],
    /// NMSE, row by row.
    pub nmse: Vec<f64>,
}

impl Spread {
    /// Bins of `values`.
    pub const BINS: usize = 48;
    /// Bins of `differences` in each power of ten.
    pub const PER_DECADE: usize = 2;
    /// The power of ten that the first bin of `differences` begins at.
    pub const FIRST_DECADE: i32 = -14;
    /// Bins of `differences`: up to 10⁶.
    const DIFFERENCE_BINS: usize = 20 * Self::PER_DECADE;
}

/// Squared error and squared magnitude of the reference, summed.
#[derive(Clone, Copy, Default)]
struct Sums {
    error: f64,
    reference: f64,
}

impl Sums {
    /// Zero error is zero whatever the reference; error where the reference is zero is infinite.
    fn nmse(self) -> f64 {
        if self.error == 0.0 {
            0.0
        } else {
            self.error / self.reference
        }
    }
}

/// One axis cut into groups.
struct Grouped {
    axis: usize,
    length: usize,
    stride: u64,
    group: usize,
}

impl Grouped {
    fn of(shape: &[usize], axis: usize, most: usize) -> Self {
        Self {
            axis,
            length: shape[axis],
            stride: shape[axis + 1..].iter().map(|dim| *dim as u64).product(),
            group: shape[axis].div_ceil(most.max(1)).max(1),
        }
    }

    fn groups(&self) -> usize {
        self.length.div_ceil(self.group)
    }

    fn place(&self, index: u64) -> usize {
        ((index / self.stride) % self.length as u64) as usize / self.group
    }
}

/// Looks at the compared elements of a pair, one block at a time. `ranges` are those of reference and candidate.
///
/// # NaN and infinity
///
/// Elements with a non-finite value on either side are left out.
///
/// # Errors
///
/// When a payload cannot be read.
pub fn spread(
    [reference, candidate]: [&dyn Numbers; 2],
    region: &Region,
    shape: &[usize],
    ranges: [Range; 2],
    resolution: Resolution,
) -> Result<Spread, Error> {
    let available = reference.available().min(candidate.available());
    let is_complete = available >= region.total();
    let long: Vec<usize> = (0..shape.len()).filter(|axis| shape[*axis] > 1).collect();
    let axes: Vec<Grouped> = long
        .iter()
        .filter(|_| is_complete)
        .map(|axis| Grouped::of(shape, *axis, resolution.axis))
        .collect();
    let map = match long.as_slice() {
        [.., rows, columns] if is_complete => Some([
            Grouped::of(shape, *rows, resolution.map[0]),
            Grouped::of(shape, *columns, resolution.map[1]),
        ]),
        _ => None,
    };
    let mut along: Vec<Vec<Sums>> = axes
        .iter()
        .map(|axis| vec![Sums::default(); axis.groups()])
        .collect();
    let mut over = vec![Sums::default(); map.as_ref().map_or(0, |[a, b]| a.groups() * b.groups())];

    let range = Range {
        min: ranges[0].min.min(ranges[1].min),
        max: ranges[0].max.max(ranges[1].max),
    };
    let mut out = Spread {
        value_range: range,
        values: [vec![0; Spread::BINS], vec![0; Spread::BINS]],
        differences: vec![0; Spread::DIFFERENCE_BINS],
        ..Spread::default()
    };
    let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    for (start, length) in region.ranges() {
        let end = (start + length).min(available);
        let mut first = start;
        while first < end {
            let count = (end - first).min(BLOCK as u64) as usize;
            a.clear();
            b.clear();
            reference.read(first, count, &mut a)?;
            candidate.read(first, count, &mut b)?;
            for (index, (x, y)) in (first..).zip(a.iter().copied().zip(b.iter().copied())) {
                if !x.is_finite() || !y.is_finite() {
                    continue;
                }
                out.count(x, y);
                let sums = Sums {
                    error: (y - x) * (y - x),
                    reference: x * x,
                };
                let add = |to: &mut Sums| {
                    to.error += sums.error;
                    to.reference += sums.reference;
                };
                for (axis, along) in axes.iter().zip(&mut along) {
                    add(&mut along[axis.place(index)]);
                }
                if let Some([rows, columns]) = &map {
                    let place = rows.place(index) * columns.groups() + columns.place(index);
                    add(&mut over[place]);
                }
            }
            first += count as u64;
        }
    }
    out.axes = axes
        .iter()
        .zip(along)
        .map(|(axis, sums)| AxisSpread {
            axis: axis.axis,
            length: axis.length,
            group: axis.group,
            nmse: sums.into_iter().map(Sums::nmse).collect(),
        })
        .collect();
    out.map = map.map(|[rows, columns]| MapSpread {
        axes: [rows.axis, columns.axis],
        lengths: [rows.length, columns.length],
        groups: [rows.group, columns.group],
        nmse: over.into_iter().map(Sums::nmse).collect(),
    });
    Ok(out)
}

impl Spread {
    fn count(&mut self, reference: f64, candidate: f64) {
        self.elements += 1;
        let Range { min, max } = self.value_range;
        for (bins, value) in self.values.iter_mut().zip([reference, candidate]) {
            // Halves, because the distance between the largest finite numbers is infinite.
            let place = (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0) * Self::BINS as f64;
            // A single value has the range 0 and the place NaN, which `as` makes 0.
            bins[(place as usize).min(Self::BINS - 1)] += 1;
        }
        let difference = (candidate - reference).abs();
        if difference == 0.0 {
            self.equal += 1;
        } else {
            let place =
                (difference.log10() - f64::from(Self::FIRST_DECADE)) * Self::PER_DECADE as f64;
            let last = self.differences.len() - 1;
            self.differences[(place.max(0.0) as usize).min(last)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    fn look(a: &[f64], b: &[f64], shape: &[usize], resolution: Resolution) -> Spread {
        let range = |values: &[f64]| Range {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
        let region = Region::whole(shape, Some(0));
        let ranges = [range(a), range(b)];
        spread([&a, &b], &region, shape, ranges, resolution).unwrap()
    }

    #[test]
    fn errors_lie_where_they_were_put() {
        // Two tokens, two heads of three channels; only head 1 of token 0 is off, by 1 where the reference is 2.
        let a = [2.0; 12];
        let mut b = a;
        b[3..6].fill(3.0);
        let seen = look(&a, &b, &[2, 2, 3], Resolution::FULL);
        let along: Vec<&[f64]> = seen.axes.iter().map(|axis| axis.nmse.as_slice()).collect();
        // Half of the elements of token 0 and of head 1 have a squared error of 1 against 4.
        assert_eq!(along, [&[0.125, 0.0][..], &[0.0, 0.125], &[0.0625; 3]]);
        let map = seen.map.unwrap();
        assert_eq!((map.axes, map.lengths), ([1, 2], [2, 3]));
        assert_eq!(map.nmse, [0.0, 0.0, 0.0, 0.125, 0.125, 0.125]);
        assert_eq!((seen.elements, seen.equal), (12, 9));
        // A difference of 10⁰ begins the bin 14 decades above the first.
        assert_eq!(seen.differences[28], 3);
        assert_eq!(seen.values[0][0], 12);
        assert_eq!((seen.values[1][0], seen.values[1][47]), (9, 3));
    }

    #[test]
    fn groups_keep_the_whole_error() {
        let a: Vec<f64> = (0..10).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|x| x + 1.0).collect();
        let coarse = Resolution {
            axis: 4,
            map: [2, 2],
        };
        let seen = look(&a, &b, &[10], coarse);
        // Groups of three: 0+1+4, 9+16+25, 36+49+64, 81.
        let expected = [3.0 / 5.0, 3.0 / 50.0, 3.0 / 149.0, 1.0 / 81.0];
        assert_eq!(
            (seen.axes[0].group, seen.axes[0].nmse.as_slice()),
            (3, &expected[..])
        );
        assert!(seen.map.is_none());
    }

    #[test]
    fn extremes() {
        let seen = look(
            &[f64::MAX, -f64::MAX],
            &[f64::MAX, f64::MAX],
            &[2],
            Resolution::FULL,
        );
        assert_eq!(
            (seen.values[0][0], seen.values[0][47], seen.values[1][47]),
            (1, 1, 2)
        );
        let seen = look(&[5.0; 3], &[5.0; 3], &[3], Resolution::FULL);
        assert_eq!(
            (seen.values[0][0], seen.equal, seen.axes[0].nmse[0]),
            (3, 3, 0.0)
        );
        let seen = look(&[f64::NAN, 1.0], &[1.0, 1.0], &[2], Resolution::FULL);
        assert_eq!(seen.elements, 1);
        // Only the first elements are known: their places say nothing about the axes.
        let (a, region) = (vec![1.0, 2.0], Region::whole(&[4], None));
        let seen = spread(
            [&a.as_slice(), &a.as_slice()],
            &region,
            &[4],
            [Range { min: 1.0, max: 2.0 }; 2],
            Resolution::FULL,
        );
        assert_eq!(seen.unwrap().axes, []);
    }
}
