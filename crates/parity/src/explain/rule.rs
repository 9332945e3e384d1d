//! What a rule is.

use super::{Fit, Kind, Scene};

/// One known mistake, or one benign difference.
///
/// A rule is about a mechanism, with fitted parameters where the mechanism has some, not about one engine's bug.
pub struct Rule {
    /// What it is called and what there is to read about it.
    pub page: Page,
    /// The kinds of operations at which it can be made.
    pub kinds: &'static [Kind],
    /// Whether it takes long: it is then left out where a simpler rule has proven a cause.
    pub costly: bool,
    /// What the mechanism would have made, in each way that it could have been set off. Rules say what follows from
    /// the mistake; whether that is what was found is judged in one place for all of them.
    pub test: fn(&Scene<'_>) -> Vec<Fit>,
}

/// What there is to read about a rule: the source of `parity explain CODE` and of `docs/rules.md`.
pub struct Page {
    /// Stable code.
    pub code: &'static str,
    /// A few words.
    pub name: &'static str,
    /// What is done wrongly, and what comes of it.
    pub detects: &'static str,
    /// What is shown as proof.
    pub evidence: &'static str,
    /// How to make sure of it.
    pub confirm: &'static str,
    /// What to change.
    pub fix: &'static str,
    /// Real reports of this mistake, `owner/repository#number`.
    pub reports: &'static [&'static str],
}
