//! P102.

use crate::align::Stage;
use crate::explain::numbers::short;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::recompute::most_probable;
use crate::tensor::Dense;

/// Other experts.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P102",
        name: "other experts chosen",
        detects: "A token goes to other experts than in the reference: because two probabilities are so near that rounding decides between them, or \
                  because the choice is not of the most probable ones, or of some of the experts only. The same experts in another order are harmless, as long as their weights \
                  are in that order, too.",
        evidence: "The candidate's choice from its own probabilities; at a near tie, the gap between the last chosen and the first that is not, against \
                   what both sides' probabilities differ by.",
        confirm: "Feed the reference's choice to the candidate: if the rest agrees, only the choice differs.",
        fix: "Near ties cannot be removed, only made rarer: compute the router in f32, or compare with the reference's choice forced.",
        reports: &["turboderp-org/exllamav2#554", "JustVugg/colibri#1554"],
    },
    kinds: &[Kind::ExpertChoice],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).unwrap_or_default()
}

fn sorted(row: &[f64]) -> Vec<i64> {
    let mut ids: Vec<i64> = row.iter().map(|id| *id as i64).collect();
    ids.sort_unstable();
    ids
}

fn found(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let (reference, candidate) = (&scene.reference, &scene.candidate);
    let rows = scene.affected();
    let same = |row: &usize| sorted(reference.row(*row)) == sorted(candidate.row(*row));
    let what_was_found = |claim: String| scene.fit(candidate, Basis::Inputs, claim);
    if !rows.is_empty() && rows.iter().all(same) {
        let claim = "the same experts are chosen, in another order".to_owned();
        return Some(vec![what_was_found(claim).benign(true)]);
    }
    let probs = scene.stage(Side::Candidate, Stage::FfnRouterProbs)?;
    let theirs = scene.stage(Side::Reference, Stage::FfnRouterProbs)?;
    let count = candidate.row_len();
    let made = most_probable(&probs, count);
    let follows = rows
        .iter()
        .all(|row| sorted(made.row(*row)) == sorted(candidate.row(*row)));
    if follows {
        // How far the probabilities of exchanged experts lie apart, against how far both sides do.
        let (mut gap, mut noise) = (0.0_f64, 0.0_f64);
        for row in rows.iter().filter(|row| !same(row)) {
            let (least, first_left_out) = edge(&theirs, *row, count)?;
            gap = gap.max((least - first_left_out) / least);
            let differences = theirs.row(*row).iter().zip(probs.row(*row));
            noise = differences.fold(noise, |noise, (a, b)| noise.max((a - b).abs() / least));
        }
        let claim = format!(
            "the last chosen expert and the first that is not are {} apart, and both sides' probabilities {}: rounding decides",
            short(gap),
            short(noise)
        );
        let near = gap <= 2.0 * noise && gap < 0.05;
        return near.then(|| {
            let fit = what_was_found(claim).only_likely();
            vec![fit.evidence("gap", gap).evidence("difference", noise)]
        });
    }
    let mut fits = Vec::new();
    let least = most_probable(&probs.map(|p| -p), count);
    fits.push(scene.fit(
        &least,
        Basis::Inputs,
        "the least probable experts are chosen",
    ));
    for shift in [-1.0, 1.0] {
        let claim = format!("experts are counted {shift:+} from the right ones");
        let shifted = made.map(|id| id + shift);
        fits.push(scene.fit(&shifted, Basis::Inputs, claim).free(1));
    }
    // Every number of experts that are looked at is tried; the best one is shown.
    let among = (count..probs.row_len()).map(|first| {
        let few = Dense {
            shape: vec![probs.n_rows(), first],
            data: (0..probs.n_rows())
                .flat_map(|row| probs.row(row)[..first].iter().copied())
                .collect(),
        };
        let claim = format!("experts are chosen among the first {first} only");
        let fit = scene.fit(&most_probable(&few, count), Basis::Inputs, claim);
        fit.fitted("experts", first as f64, None)
    });
    fits.extend(among.min_by(|a, b| a.residual.total_cmp(&b.residual)));
    Some(fits)
}

/// The least probability of the `count` largest of a row, and the largest of the others.
fn edge(probs: &Dense, row: usize, count: usize) -> Option<(f64, f64)> {
    let mut row = probs.row(row).to_vec();
    row.sort_by(|a, b| b.total_cmp(a));
    Some((*row.get(count.checked_sub(1)?)?, *row.get(count)?))
}
