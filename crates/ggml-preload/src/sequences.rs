//! Which sequence each token of a pass belongs to, and where a new run begins.
//!
//! A graph tells positions but not sequences. They follow from the positions: a sequence goes on where it
//! stopped, and two tokens of one pass at the same position are of two sequences. Where that leaves a choice, the
//! lowest sequence goes on.

/// The sequences of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequences {
    /// For each sequence the position that comes next.
    next: Vec<i64>,
}

impl Sequences {
    /// Whether a pass over these positions starts anew instead of going on: it begins at 0, which was there
    /// already, and continues none of the sequences.
    pub(crate) fn restarts(&self, positions: &[i64]) -> bool {
        !self.next.is_empty()
            && positions.first() == Some(&0)
            && !positions
                .iter()
                .any(|position| *position > 0 && self.goes_on_at(*position, positions))
    }

    /// Whether a sequence stopped before `position`, which is not just reached inside this pass.
    fn goes_on_at(&self, position: i64, positions: &[i64]) -> bool {
        self.next.contains(&position) && !positions.contains(&(position - 1))
    }

    /// The position that follows in the first sequence.
    pub(crate) fn next_position(&self) -> i64 {
        self.next.first().copied().unwrap_or(0)
    }

    /// Each position with its sequence.
    pub(crate) fn assign(&mut self, positions: &[i64]) -> Vec<(i64, u64)> {
        let mut used = vec![false; self.next.len()];
        let mut last = None;
        positions
            .iter()
            .map(|position| {
                let seq = self.sequence_of(*position, &used, last);
                if seq == self.next.len() {
                    self.next.push(0);
                    used.push(false);
                }
                self.next[seq] = position + 1;
                used[seq] = true;
                last = Some((seq, *position));
                (*position, seq as u64)
            })
            .collect()
    }

    fn sequence_of(&self, position: i64, used: &[bool], last: Option<(usize, i64)>) -> usize {
        if let Some((seq, before)) = last
            && before + 1 == position
        {
            return seq;
        }
        let unused = |wanted: &dyn Fn(i64) -> bool| {
            (0..used.len()).find(|seq| !used[*seq] && wanted(self.next[*seq]))
        };
        unused(&|next| next == position)
            // Gone back, to replace what was there.
            .or_else(|| {
                (position > 0)
                    .then(|| unused(&|next| next > position))
                    .flatten()
            })
            .unwrap_or(self.next.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(passes: &[&[i64]]) -> Sequences {
        let mut sequences = Sequences::default();
        for positions in passes {
            sequences.assign(positions);
        }
        sequences
    }

    fn seqs(sequences: &mut Sequences, positions: &[i64]) -> Vec<u64> {
        sequences
            .assign(positions)
            .into_iter()
            .map(|(_, seq)| seq)
            .collect()
    }

    #[test]
    fn one_sequence() {
        let mut sequences = Sequences::default();
        assert_eq!(seqs(&mut sequences, &[0, 1, 2]), [0, 0, 0]);
        assert_eq!(seqs(&mut sequences, &[3]), [0]);
        assert_eq!(sequences.next_position(), 4);
        assert_eq!(
            seqs(&mut sequences, &[2, 3]),
            [0, 0],
            "gone back to replace two tokens"
        );
    }

    #[test]
    fn four_prompts_in_one_batch_and_their_continuations() {
        let mut sequences = Sequences::default();
        assert_eq!(
            seqs(&mut sequences, &[0, 1, 0, 1, 2, 0]),
            [0, 0, 1, 1, 1, 2]
        );
        assert_eq!(
            seqs(&mut sequences, &[2, 3, 1]),
            [0, 0, 2],
            "neighbours count as one sequence"
        );
        let mut sequences = after(&[&[0, 1, 0, 1]]);
        assert_eq!(seqs(&mut sequences, &[2, 2]), [0, 1]);
        assert_eq!(seqs(&mut sequences, &[3, 3]), [0, 1]);
    }

    #[test]
    fn a_prompt_shared_by_several_continuations() {
        let mut sequences = after(&[&[0, 1, 2]]);
        assert_eq!(seqs(&mut sequences, &[3, 3, 3]), [0, 1, 2]);
    }

    #[test]
    fn starting_anew() {
        assert!(
            !Sequences::default().restarts(&[0, 1]),
            "nothing came before"
        );
        assert!(after(&[&[0, 1], &[2]]).restarts(&[0, 1, 2, 3]));
        assert!(after(&[&[0, 1]]).restarts(&[0]));
        assert!(!after(&[&[0, 1], &[2]]).restarts(&[3]));
        assert!(
            !after(&[&[0, 1, 2, 3]]).restarts(&[2]),
            "gone back, not started anew"
        );
        assert!(
            !after(&[&[0, 1, 2]]).restarts(&[0, 1, 3]),
            "a second prompt beside the first sequence"
        );
    }
}
