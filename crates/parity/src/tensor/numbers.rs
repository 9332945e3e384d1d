//! Where a tensor's elements come from.

use crate::error::Error;

/// A tensor's elements from the first on, in row-major order, as far as they are known.
pub trait Numbers {
    /// How many elements can be read.
    fn available(&self) -> u64;

    /// Appends `count` elements from row-major index `first` on to `out`.
    ///
    /// # Errors
    ///
    /// When the file that holds them cannot be read.
    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error>;

    /// Reads blocks without widening what is `f32` anyway.
    fn blocks(&self) -> Box<dyn Blocks + '_> {
        Box::new(Narrowed {
            source: self,
            wide: Vec::new(),
            narrow: Vec::new(),
        })
    }

    /// The same elements for several threads; `None` where only one thread may read them.
    fn shared(&self) -> Option<&(dyn Numbers + Sync)> {
        None
    }
}

/// Some elements in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block<'b> {
    /// Every element is an `f32`.
    F32(&'b [f32]),
    /// At least one element is not.
    F64(&'b [f64]),
}

/// Reads elements block by block, with a buffer of its own.
pub trait Blocks {
    /// `count` elements from row-major index `first` on; fewer where no more can be read.
    ///
    /// # Errors
    ///
    /// When the file that holds them cannot be read.
    fn block(&mut self, first: u64, count: usize) -> Result<Block<'_>, Error>;
}

/// Any numbers, looked at after reading.
struct Narrowed<'n, N: ?Sized> {
    source: &'n N,
    wide: Vec<f64>,
    narrow: Vec<f32>,
}

impl<N: Numbers + ?Sized> Blocks for Narrowed<'_, N> {
    fn block(&mut self, first: u64, count: usize) -> Result<Block<'_>, Error> {
        self.wide.clear();
        self.source.read(first, count, &mut self.wide)?;
        Ok(narrowed(&self.wide, &mut self.narrow))
    }
}

/// The elements as `f32` where that loses nothing.
pub(crate) fn narrowed<'b>(wide: &'b [f64], narrow: &'b mut Vec<f32>) -> Block<'b> {
    narrow.clear();
    narrow.extend(wide.iter().map(|value| *value as f32));
    let same = |(wide, narrow): (&f64, &f32)| f64::from(*narrow) == *wide || wide.is_nan();
    if wide.iter().zip(&*narrow).all(same) {
        Block::F32(narrow)
    } else {
        Block::F64(wide)
    }
}

/// Elements that lie in memory.
struct Slice<'n> {
    wide: &'n [f64],
    narrow: Vec<f32>,
}

impl Blocks for Slice<'_> {
    fn block(&mut self, first: u64, count: usize) -> Result<Block<'_>, Error> {
        Ok(narrowed(part(self.wide, first, count), &mut self.narrow))
    }
}

/// `count` elements from `first` on, or as many as there are.
fn part(all: &[f64], first: u64, count: usize) -> &[f64] {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let rest = all.get(first..).unwrap_or_default();
    &rest[..count.min(rest.len())]
}

impl Numbers for &[f64] {
    fn available(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error> {
        out.extend_from_slice(part(self, first, count));
        Ok(())
    }

    fn blocks(&self) -> Box<dyn Blocks + '_> {
        Box::new(Slice {
            wide: self,
            narrow: Vec::new(),
        })
    }

    fn shared(&self) -> Option<&(dyn Numbers + Sync)> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowed_only_where_nothing_is_lost() {
        let f32s = [1.5, f64::NAN, f64::NEG_INFINITY, -0.0];
        let source = &f32s[..];
        let mut blocks = source.blocks();
        let Block::F32(read) = blocks.block(0, 9).unwrap() else {
            panic!("all of them are f32");
        };
        assert_eq!(read[0], 1.5);
        assert!(read[1].is_nan() && read[3].is_sign_negative());
        let wide = [0.1, 1e300];
        let source = &wide[..];
        assert_eq!(source.blocks().block(0, 2).unwrap(), Block::F64(&wide));
        assert_eq!(source.blocks().block(1, 5).unwrap(), Block::F64(&wide[1..]));
    }
}
