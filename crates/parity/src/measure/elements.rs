//! The elements of a pair, block by block and, where there are many, on two threads.

use super::accumulate::Run;
use super::kernel::Kernel;
use super::partial::{BLOCK, GROUP, Partial};
use super::ulp::Ulp;
use crate::error::Error;
use crate::tensor::{Blocks, Numbers, Region};

/// Some elements in a row: the first one's index, and how many.
type Piece = (u64, usize);

/// Groups that two threads share before their results are merged: what is remembered stays small.
const AT_ONCE: usize = 16;

/// Measures the elements of `region` that both sides have.
///
/// The sums are those of blocks of [`BLOCK`] elements, merged in index order within groups of [`GROUP`] blocks, and the
/// groups in their order: the same bits with one thread and with two.
pub(super) fn measure_elements(
    reference: &dyn Numbers,
    candidate: &dyn Numbers,
    region: &Region,
    ulp: Option<Ulp>,
) -> Result<Partial, Error> {
    let available = reference.available().min(candidate.available());
    let mut total = Partial::default();
    let mut pieces = pieces(region, available).peekable();
    let Some(first) = pieces.next() else {
        return Ok(total);
    };
    if pieces.peek().is_none() {
        // Values of a line, mostly: nothing to share and nothing to merge.
        return measure_group(
            &mut *reference.blocks(),
            &mut *candidate.blocks(),
            &[first],
            ulp,
        );
    }
    let mut pieces = std::iter::once(first).chain(pieces).peekable();
    let shared = reference.shared().zip(candidate.shared());
    let (mut a, mut b) = (None, None);
    let mut batch = Vec::new();
    while pieces.peek().is_some() {
        batch.clear();
        batch.extend(pieces.by_ref().take(GROUP * AT_ONCE));
        let groups: Vec<&[Piece]> = batch.chunks(GROUP).collect();
        match shared {
            Some((reference, candidate)) if groups.len() > 1 => {
                for partial in two_threads(reference, candidate, &groups, ulp) {
                    total.merge(&partial?);
                }
            }
            _ => {
                let a = &mut **a.get_or_insert_with(|| reference.blocks());
                let b = &mut **b.get_or_insert_with(|| candidate.blocks());
                for group in groups {
                    let partial = measure_group(a, b, group, ulp)?;
                    total.merge(&partial);
                }
            }
        }
    }
    Ok(total)
}

/// The region's runs of elements in blocks, as far as elements are known.
fn pieces(region: &Region, available: u64) -> impl Iterator<Item = Piece> {
    region
        .ranges()
        .map_while(move |(start, length)| (start < available).then_some((start, length)))
        .flat_map(move |(start, length)| {
            let end = (start + length).min(available);
            (start..end)
                .step_by(BLOCK)
                .map(move |first| (first, (end - first).min(BLOCK as u64) as usize))
        })
}

fn measure_group(
    a: &mut dyn Blocks,
    b: &mut dyn Blocks,
    pieces: &[Piece],
    ulp: Option<Ulp>,
) -> Result<Partial, Error> {
    let mut run = Run::new(Kernel::best(), ulp);
    for (first, count) in pieces {
        run.add(a.block(*first, *count)?, b.block(*first, *count)?, *first);
    }
    Ok(run.finish())
}

/// One result for each group, in their order.
fn two_threads(
    reference: &(dyn Numbers + Sync),
    candidate: &(dyn Numbers + Sync),
    groups: &[&[Piece]],
    ulp: Option<Ulp>,
) -> Vec<Result<Partial, Error>> {
    let half = |groups: &[&[Piece]]| {
        let (mut a, mut b) = (reference.blocks(), candidate.blocks());
        groups
            .iter()
            .map(|group| measure_group(&mut *a, &mut *b, group, ulp))
            .collect::<Vec<_>>()
    };
    let (first, second) = groups.split_at(groups.len().div_ceil(2));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(second));
        let mut results = half(first);
        match other.join() {
            Ok(more) => results.extend(more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        results
    })
}
