//! Which token each row of a tensor belongs to.

use std::ops::Range;

/// Neighbouring rows of neighbouring positions in one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the tensor.
    pub rows: Range<usize>,
    /// Absolute 0-based position of the first of them; the others follow.
    pub first_position: i64,
    /// Sequence in the batch.
    pub seq: u64,
}

/// The rows of one pass: of the tensors that hold all its tokens, and of those behind the place where
/// llama.cpp drops the tokens whose logits nobody asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    tokens: Vec<(i64, u64)>,
    all: Vec<Segment>,
    outputs: Vec<Segment>,
}

impl Rows {
    /// A pass over tokens at these positions, in one sequence each. `outputs` are the rows that remain in
    /// the end, `None` when all do.
    pub fn new(tokens: &[(i64, u64)], outputs: Option<&[usize]>) -> Self {
        let mut rows = Self {
            tokens: tokens.to_vec(),
            all: segments(tokens),
            outputs: segments(tokens),
        };
        if let Some(outputs) = outputs {
            rows.set_outputs(outputs);
        }
        rows
    }

    /// The rows that remain in the end, where that becomes known later.
    pub fn set_outputs(&mut self, outputs: &[usize]) {
        let remaining: Vec<_> = outputs
            .iter()
            .filter_map(|row| self.tokens.get(*row).copied())
            .collect();
        self.outputs = segments(&remaining);
    }

    /// The rows of a tensor that has `count`. `None` when neither all tokens nor the remaining ones are as many.
    pub fn of(&self, count: usize) -> Option<&[Segment]> {
        [&self.all, &self.outputs]
            .into_iter()
            .find(|segments| len(segments) == count)
            .map(Vec::as_slice)
    }

    /// `count` neighbouring positions of sequence `seq`, all of which go on to the end.
    pub fn neighbours(first_position: i64, count: usize, seq: u64) -> Self {
        let tokens: Vec<_> = (0..count)
            .map(|index| (first_position + index as i64, seq))
            .collect();
        Self::new(&tokens, None)
    }

    /// Tokens of the pass.
    pub fn n_tokens(&self) -> usize {
        len(&self.all)
    }

    /// Tokens whose logits were asked for.
    pub fn n_outputs(&self) -> usize {
        len(&self.outputs)
    }

    /// The lowest position of the pass.
    pub fn first_position(&self) -> i64 {
        self.all
            .iter()
            .map(|segment| segment.first_position)
            .min()
            .unwrap_or(0)
    }

    /// Positions from the lowest to the highest of the pass.
    pub fn reach(&self) -> usize {
        usize::try_from(self.end_position() - self.first_position()).unwrap_or(0)
    }

    /// One past the highest position of the pass: the length of what its tokens can attend to.
    pub fn end_position(&self) -> i64 {
        let end = |segment: &Segment| segment.first_position + segment.rows.len() as i64;
        self.all.iter().map(end).max().unwrap_or(0)
    }
}

fn len(segments: &[Segment]) -> usize {
    segments.last().map_or(0, |segment| segment.rows.end)
}

fn segments(tokens: &[(i64, u64)]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (row, (position, seq)) in tokens.iter().copied().enumerate() {
        match segments.last_mut() {
            Some(last)
                if last.seq == seq && last.first_position + last.rows.len() as i64 == position =>
            {
                last.rows.end += 1;
            }
            _ => segments.push(Segment {
                rows: row..row + 1,
                first_position: position,
                seq,
            }),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(rows: Range<usize>, first_position: i64, seq: u64) -> Segment {
        Segment {
            rows,
            first_position,
            seq,
        }
    }

    #[test]
    fn a_prompt_of_which_the_last_token_remains() {
        let tokens = [(0, 0), (1, 0), (2, 0), (3, 0)];
        let rows = Rows::new(&tokens, Some(&[3]));
        assert_eq!(rows.of(4), Some(&[segment(0..4, 0, 0)][..]));
        assert_eq!(rows.of(1), Some(&[segment(0..1, 3, 0)][..]));
        assert_eq!(rows.of(2), None);
        assert_eq!(
            (rows.n_tokens(), rows.first_position(), rows.end_position()),
            (4, 0, 4)
        );
    }

    #[test]
    fn two_sequences_in_one_batch() {
        let tokens = [(7, 0), (0, 1), (1, 1), (2, 1)];
        let rows = Rows::new(&tokens, Some(&[0, 3]));
        assert_eq!(
            rows.of(4),
            Some(&[segment(0..1, 7, 0), segment(1..4, 0, 1)][..])
        );
        assert_eq!(
            rows.of(2),
            Some(&[segment(0..1, 7, 0), segment(1..2, 2, 1)][..])
        );
        assert_eq!(rows.end_position(), 8);
    }

    #[test]
    fn a_gap_in_the_positions_begins_a_new_segment() {
        let rows = Rows::new(&[(0, 0), (1, 0), (5, 0)], None);
        assert_eq!(
            rows.of(3),
            Some(&[segment(0..2, 0, 0), segment(2..3, 5, 0)][..])
        );
    }
}
