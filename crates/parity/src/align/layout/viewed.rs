//! Numbers read through a view.

use super::view::View;
use crate::error::Error;
use crate::tensor::Numbers;
use std::cell::OnceCell;

/// A tensor's elements in the order of a view.
///
/// Where the view does not follow the source, what it spans of the source is read once and kept: one tensor in memory.
pub struct Viewed<'n> {
    source: Box<dyn Numbers + 'n>,
    view: View,
    available: u64,
    span: OnceCell<Vec<f64>>,
}

impl<'n> Viewed<'n> {
    /// Reads `source` through `view`.
    pub fn new(source: Box<dyn Numbers + 'n>, view: View) -> Self {
        let known = source.available();
        let available = if view.source_end() <= known {
            view.len()
        } else {
            // A record that holds its first elements only: ends at the first element that it lacks.
            let missing = |index: &u64| view.source_index(*index) >= known;
            (0..view.len()).find(missing).unwrap_or(view.len())
        };
        Self {
            source,
            view,
            available,
            span: OnceCell::new(),
        }
    }

    fn span(&self) -> Result<&[f64], Error> {
        if let Some(span) = self.span.get() {
            return Ok(span);
        }
        let first = self.view.offset();
        let end = self.view.source_end().min(self.source.available());
        let mut span = Vec::new();
        self.source
            .read(first, end.saturating_sub(first) as usize, &mut span)?;
        Ok(self.span.get_or_init(|| span))
    }
}

impl Numbers for Viewed<'_> {
    fn available(&self) -> u64 {
        self.available
    }

    fn read(&self, first: u64, count: usize, out: &mut Vec<f64>) -> Result<(), Error> {
        let count = (count as u64).min(self.available.saturating_sub(first));
        if self.view.is_contiguous() {
            return self
                .source
                .read(self.view.offset() + first, count as usize, out);
        }
        let span = self.span()?;
        let place = |index| (self.view.source_index(index) - self.view.offset()) as usize;
        // `available` ends before the first element that the source lacks.
        out.extend((first..first + count).filter_map(|index| span.get(place(index)).copied()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_view_as_far_as_the_source_goes() {
        let source: Vec<f64> = (0..6).map(f64::from).collect();
        let read = |known: usize, view: View| {
            let viewed = Viewed::new(Box::new(&source[..known]), view);
            let mut out = Vec::new();
            viewed.read(0, 99, &mut out).unwrap();
            assert_eq!(out.len() as u64, viewed.available());
            out
        };
        let transposed = View::of(&[2, 3]).permuted(&[1, 0]);
        assert_eq!(read(6, transposed.clone()), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read(5, transposed.clone()), [0.0, 3.0, 1.0, 4.0, 2.0]);
        assert_eq!(read(2, transposed), [0.0]);
        assert_eq!(read(6, View::of(&[2, 3]).sliced(0, 1..2)), [3.0, 4.0, 5.0]);
        assert_eq!(read(3, View::of(&[2, 3]).sliced(0, 1..2)), [0.0; 0]);
    }
}
