//! From likeness to pairs with a confidence.

use super::likeness::Likeness;
use super::order::Expected;
use super::profile::{NameProfile, Profile};
use super::proposal::{Proposal, Proposed};

/// What all candidates for a pair are chosen from.
struct Table {
    likeness: Vec<Vec<Option<Likeness>>>,
    scores: Vec<Vec<f64>>,
}

/// A pair before it is judged against its neighbours.
#[derive(Clone, Copy)]
struct Match {
    reference: usize,
    candidate: usize,
    likeness: Likeness,
    /// How much better it is than the next best pair of either name, 1 … ∞.
    margin: f64,
    alternative: Option<usize>,
}

/// Margin from which on a pair is taken as sure before the order is known.
const ANCHOR_MARGIN: f64 = 4.0;

/// A likeness above which two names are not proposed at all: uncorrelated numbers have 1.
const UNLIKE: f64 = 0.75;

/// Relative difference of the statistics that is too much where only these can be alike.
const OTHER_LAYOUT: f64 = 1e-3;

/// How many times worse than its neighbours' median a pair may fit before its confidence falls.
const WORSE_THAN_NEIGHBOURS: f64 = 100.0;

/// Pairs on either side that are neighbours.
const NEIGHBOURS: usize = 12;

/// Proposes which names are the same checkpoint.
///
/// Names with the very same numbers count as one; a pair whose name is equal is proposed like any other.
pub fn propose(reference: &Profile, candidate: &Profile) -> Proposal {
    let (ours, theirs) = (groups(reference), groups(candidate));
    let mut table = Table::of(reference, candidate, &ours, &theirs);
    let expected = Expected::of(&table.anchors());
    if let Some(expected) = &expected {
        table.expect(expected);
    }
    let matches = table.matches();
    let names = |profile: &Profile, group: &[usize]| -> Vec<String> {
        group
            .iter()
            .map(|index| profile.names[*index].name.clone())
            .collect()
    };
    let rest = |profile: &Profile, groups: &[Vec<usize>], taken: &dyn Fn(usize) -> bool| {
        let rest = groups
            .iter()
            .enumerate()
            .filter(|(index, _)| !taken(*index));
        rest.flat_map(|(_, group)| names(profile, group))
            .collect::<Vec<_>>()
    };
    Proposal {
        ordered: expected.is_some(),
        unpaired_reference: rest(reference, &ours, &|index| {
            matches.iter().any(|found| found.reference == index)
        }),
        unpaired_candidate: rest(candidate, &theirs, &|index| {
            matches.iter().any(|found| found.candidate == index)
        }),
        pairs: (0..matches.len())
            .map(|index| {
                let found = matches[index];
                let mut our_names = names(reference, &ours[found.reference]);
                let mut their_names = names(candidate, &theirs[found.candidate]);
                Proposed {
                    reference: our_names.remove(0),
                    candidate: their_names.remove(0),
                    confidence: confidence(&matches, index),
                    likeness: found.likeness,
                    same_in_reference: our_names,
                    same_in_candidate: their_names,
                    alternative: found
                        .alternative
                        .map(|other| candidate.names[theirs[other][0]].name.clone()),
                }
            })
            .collect(),
    }
}

/// Names of equal numbers together, in the order of the first of each.
fn groups(profile: &Profile) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, name) in profile.names.iter().enumerate() {
        match groups
            .iter_mut()
            .find(|group| same_numbers(&profile.names[group[0]], name))
        {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Whether two names of one trace hold the same numbers, as a module's output is the next one's input.
///
/// Proven by sketches only: first values are equal by chance (the first row of every attention is 1, 0, 0, …).
fn same_numbers(a: &NameProfile, b: &NameProfile) -> bool {
    a.cells.len() == b.cells.len()
        && !a.cells.is_empty()
        && a.cells.iter().zip(&b.cells).all(|(a, b)| {
            let sketches = a.sketch.zip(b.sketch);
            (a.seq, a.occurrence, a.tokens, a.elements)
                == (b.seq, b.occurrence, b.tokens, b.elements)
                && a.values == b.values
                && sketches
                    .is_some_and(|(a, b)| a == b && a.s.iter().any(|product| *product != 0.0))
        })
}

impl Table {
    fn of(
        reference: &Profile,
        candidate: &Profile,
        ours: &[Vec<usize>],
        theirs: &[Vec<usize>],
    ) -> Self {
        let likeness: Vec<Vec<Option<Likeness>>> = ours
            .iter()
            .map(|group| {
                let name = &reference.names[group[0]];
                let others = theirs.iter().map(|other| &candidate.names[other[0]]);
                others.map(|other| Likeness::of(name, other)).collect()
            })
            .collect();
        let scores = likeness
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| cell.map_or(f64::INFINITY, |cell| cell.score()))
                    .collect()
            })
            .collect();
        Self { likeness, scores }
    }

    /// Pairs that are each other's best by far.
    fn anchors(&self) -> Vec<(usize, usize)> {
        let pairs = (0..self.scores.len()).filter_map(|row| {
            let column = least(self.scores[row].iter().copied())?;
            let (margin, _) = self.margin(row, column);
            (margin >= ANCHOR_MARGIN).then_some((row, column))
        });
        pairs.collect()
    }

    fn expect(&mut self, expected: &Expected) {
        for (row, scores) in self.scores.iter_mut().enumerate() {
            for (column, score) in scores.iter_mut().enumerate() {
                *score *= expected.doubt(row, column);
            }
        }
    }

    /// How much better a pair is than the next best one of either name, and that one's column in the row.
    fn margin(&self, row: usize, column: usize) -> (f64, Option<usize>) {
        let own = self.scores[row][column];
        let others = |index: usize, score: f64| {
            if index == column {
                f64::INFINITY
            } else {
                score
            }
        };
        let in_row = self.scores[row]
            .iter()
            .enumerate()
            .map(|(index, score)| others(index, *score));
        let alternative = least(in_row);
        let in_row = alternative.map_or(f64::INFINITY, |index| self.scores[row][index]);
        let in_column = (0..self.scores.len())
            .filter(|other| *other != row)
            .map(|other| self.scores[other][column])
            .fold(f64::INFINITY, f64::min);
        (in_row.min(in_column) / own, alternative)
    }

    /// The best pairs first, each name once; in the order of the reference.
    fn matches(&self) -> Vec<Match> {
        let mut all: Vec<(f64, usize, usize)> = Vec::new();
        for (row, scores) in self.scores.iter().enumerate() {
            let usable = scores
                .iter()
                .enumerate()
                .filter(|(_, score)| score.is_finite());
            all.extend(usable.map(|(column, score)| (*score, row, column)));
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut free = (
            vec![true; self.scores.len()],
            vec![true; self.scores.first().map_or(0, Vec::len)],
        );
        let mut matches = Vec::new();
        for (_, row, column) in all {
            let Some(likeness) = self.likeness[row][column] else {
                continue;
            };
            if !free.0[row] || !free.1[column] || !alike(&likeness) {
                continue;
            }
            (free.0[row], free.1[column]) = (false, false);
            let (margin, alternative) = self.margin(row, column);
            matches.push(Match {
                reference: row,
                candidate: column,
                likeness,
                margin,
                alternative,
            });
        }
        matches.sort_by_key(|found| found.reference);
        matches
    }
}

/// Whether a pair can be the same checkpoint at all.
fn alike(likeness: &Likeness) -> bool {
    likeness.direct < UNLIKE || likeness.invariant.sqrt() < OTHER_LAYOUT
}

/// How sure the pair at `index` is.
fn confidence(matches: &[Match], index: usize) -> f64 {
    let found = matches[index];
    let nearby =
        &matches[index.saturating_sub(NEIGHBOURS)..matches.len().min(index + NEIGHBOURS + 1)];
    let median = |figure: fn(&Likeness) -> f64| {
        let mut figures: Vec<f64> = nearby
            .iter()
            .map(|other| figure(&other.likeness))
            .filter(|figure| figure.is_finite())
            .collect();
        figures.sort_by(f64::total_cmp);
        figures
            .get(figures.len() / 2)
            .copied()
            .unwrap_or(f64::INFINITY)
    };
    // What one engine rounds and the other does not may be the first difference at all.
    let usual = |figure: f64, of: fn(&Likeness) -> f64| {
        (WORSE_THAN_NEIGHBOURS * median(of).max(1e-14) / figure.max(1e-14)).min(1.0)
    };
    let Likeness { direct, invariant } = found.likeness;
    let as_it_is = if direct < UNLIKE {
        (1.0 - (direct / UNLIKE).powi(2)) * usual(direct, |likeness| likeness.direct)
    } else {
        0.0
    };
    // In another layout only the statistics can agree, and must do so to rounding.
    let rearranged = if invariant.sqrt() < OTHER_LAYOUT {
        (1.0 - invariant.sqrt() / OTHER_LAYOUT) * usual(invariant, |likeness| likeness.invariant)
    } else {
        0.0
    };
    let better = if found.margin > 1.0 {
        1.0 - 1.0 / found.margin
    } else {
        0.0
    };
    (better * as_it_is.max(rearranged)).min(0.999)
}

/// Index of the smallest finite number.
fn least(numbers: impl Iterator<Item = f64>) -> Option<usize> {
    let finite = numbers.enumerate().filter(|(_, number)| number.is_finite());
    finite
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(index, _)| index)
}
