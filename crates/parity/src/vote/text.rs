//! A vote in words.

use crate::report::v1::{Vote, VoteCheckpoint};
use crate::report::words;
use std::fmt::Write;

/// Why the vote ended as it did.
pub(super) fn reasons(vote: &Vote, voters: &[usize]) -> Vec<String> {
    let name = |trace: usize| vote.traces[trace].path.escape_debug().to_string();
    let mut reasons = Vec::new();
    match (&*vote.verdict, &vote.first) {
        ("not comparable", _) if voters.len() < 3 => reasons.push(format!(
            "a vote needs three traces that can be compared; here are {}",
            voters.len()
        )),
        ("not comparable", _) => reasons.push("no checkpoint is in three of the traces".to_owned()),
        (_, None) => reasons.push(format!(
            "all {} traces agree on all {}",
            voters.len(),
            words::counted(vote.checkpoints.len() as u64, "checkpoint")
        )),
        (_, Some(first)) => reasons.extend(of_first(vote, first, &name)),
    }
    for trace in (0..vote.traces.len()).filter(|trace| !voters.contains(trace)) {
        let pair = vote.pairs.iter().find(|pair| pair.traces.contains(&trace));
        let why = pair.map_or("", |pair| &pair.reason);
        reasons.push(format!("{} has no vote: {why}", name(trace)));
    }
    reasons
}

fn of_first(vote: &Vote, first: &VoteCheckpoint, name: &dyn Fn(usize) -> String) -> Vec<String> {
    let list = |traces: &[usize]| {
        traces
            .iter()
            .map(|trace| name(*trace))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let checkpoint = first.checkpoint.escape_debug();
    let apart = words::number(first.farthest_relative_rmse.0);
    if first.odd.is_empty() {
        let groups: Vec<String> = first.groups.iter().map(|group| list(group)).collect();
        return vec![format!(
            "at `{checkpoint}` no more than half of the traces agree: {} (relative RMSE up to {apart})",
            groups.join(" | ")
        )];
    }
    let within = first.within_relative_rmse.map_or(0.0, |error| error.0);
    let mut reasons = vec![format!(
        "{} {} the odd one out, first at `{checkpoint}`: relative RMSE {apart}, where {} agree to {}",
        list(&first.odd),
        if first.odd.len() == 1 {
            "is"
        } else {
            "are each"
        },
        list(&first.groups[0]),
        words::number(within)
    )];
    let teams: Vec<&Vec<String>> = first.groups[0]
        .iter()
        .map(|trace| &vote.traces[*trace].teams)
        .collect();
    if teams.windows(2).all(|pair| pair[0] == pair[1]) {
        reasons.push(
            "those that agree are of one engine and would share a mistake of it: a vote counts engines best".to_owned(),
        );
    }
    let others: Vec<usize> = {
        let all = vote
            .checkpoints
            .iter()
            .flat_map(|checkpoint| checkpoint.odd.iter().copied());
        let mut others: Vec<usize> = all.filter(|trace| !first.odd.contains(trace)).collect();
        others.sort_unstable();
        others.dedup();
        others
    };
    for trace in others {
        let of_trace = |checkpoint: &&VoteCheckpoint| checkpoint.odd.contains(&trace);
        if let Some(place) = vote.checkpoints.iter().find(of_trace) {
            reasons.push(format!(
                "{} is odd too, from `{}` on",
                name(trace),
                place.checkpoint.escape_debug()
            ));
        }
    }
    reasons
}

impl Vote {
    /// The vote for a terminal: every two traces, the checkpoints that not all agree on (all where `verbose`), the reasons.
    pub fn text(&self, verbose: bool) -> String {
        let mut text = format!("{}\n\n", self.verdict.to_uppercase());
        for reason in &self.reasons {
            let _ = writeln!(text, "  {reason}");
        }
        text.push('\n');
        for (index, trace) in self.traces.iter().enumerate() {
            let teams = trace.teams.join(", ");
            let _ = writeln!(
                text,
                "  [{index}] {}  ({})",
                trace.path.escape_debug(),
                teams.escape_debug()
            );
        }
        text.push('\n');
        for pair in &self.pairs {
            let [a, b] = pair.traces;
            let largest = pair
                .worst_relative_rmse
                .map_or("-".to_owned(), |error| words::number(error.0));
            let first = pair
                .first_divergence
                .as_ref()
                .map_or_else(String::new, |name| {
                    format!("  first at {}", name.escape_debug())
                });
            let _ = writeln!(
                text,
                "  [{a}] [{b}]  {:<14}  {:>8} pairs  largest {largest}{first}",
                pair.verdict,
                words::count(pair.compared)
            );
        }
        let shown: Vec<&VoteCheckpoint> = self
            .checkpoints
            .iter()
            .filter(|checkpoint| verbose || checkpoint.groups.len() > 1)
            .collect();
        if !shown.is_empty() {
            let _ = writeln!(
                text,
                "\n  {:<28}  {:>9}  {:>9}  groups that agree",
                "checkpoint", "farthest", "within"
            );
        }
        // Past the first ones everything is consequence.
        let limit = if verbose { usize::MAX } else { 12 };
        for checkpoint in shown.iter().take(limit) {
            let groups: Vec<String> = checkpoint
                .groups
                .iter()
                .map(|group| format!("{group:?}"))
                .collect();
            let within = checkpoint
                .within_relative_rmse
                .map_or("-".to_owned(), |error| words::number(error.0));
            let _ = writeln!(
                text,
                "  {:<28}  {:>9}  {within:>9}  {}",
                checkpoint.checkpoint.escape_debug().to_string(),
                words::number(checkpoint.farthest_relative_rmse.0),
                groups.join(" ")
            );
        }
        if shown.len() > limit {
            let _ = writeln!(text, "  … and {} more (`-v`)", shown.len() - limit);
        }
        let _ = writeln!(
            text,
            "\nverdict: {} (exit code {})",
            self.verdict, self.exit_code
        );
        text
    }
}
