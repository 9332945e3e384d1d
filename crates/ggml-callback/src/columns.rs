//! What the columns of attention's scores are.

use std::sync::Arc;

use super::rows::Segment;

/// Which token each column of scores and probabilities belongs to. ggml's columns are cells of the KV cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Column j is position j: the cache holds one sequence, from its first cell on.
    #[default]
    Positions,
    /// Several sequences share the cache: position and sequence of the token in each cell.
    Tokens(Arc<[(i64, u64)]>),
    /// Nobody knows. Scores and probabilities are left out.
    Unknown,
}

impl Columns {
    /// How many columns of a tensor hold something, for a pass that ends before position `end`.
    pub(super) fn count(&self, end: i64) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Positions | Self::Unknown => usize::try_from(end).unwrap_or(0),
        }
    }

    /// The columns of the positions that exist for the segment's sequence, in order. `None` for all as they are.
    pub(super) fn of(&self, segment: &Segment) -> Option<Vec<usize>> {
        let Self::Tokens(tokens) = self else {
            return None;
        };
        let end = segment.first_position + segment.rows.len() as i64;
        let mut columns: Vec<usize> = (0..tokens.len())
            .filter(|column| {
                let (position, seq) = tokens[*column];
                seq == segment.seq && position < end
            })
            .collect();
        columns.sort_by_key(|column| tokens[*column].0);
        Some(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_sees_its_own_cells_in_order_of_position() {
        let tokens = [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)];
        let columns = Columns::Tokens(tokens.into());
        let of = |rows, first_position, seq| {
            columns.of(&Segment {
                rows,
                first_position,
                seq,
            })
        };
        assert_eq!(columns.count(3), 6);
        assert_eq!(of(0..1, 2, 0), Some(vec![0, 3, 4]));
        assert_eq!(of(4..6, 0, 1), Some(vec![1, 2]));
        let moved = Columns::Tokens([(1, 0), (0, 0)].into());
        let both = Segment {
            rows: 0..2,
            first_position: 0,
            seq: 0,
        };
        assert_eq!(moved.of(&both), Some(vec![1, 0]));
        assert_eq!(Columns::Positions.of(&both), None);
    }
}
