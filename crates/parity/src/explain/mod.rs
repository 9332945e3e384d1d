//! Which mistake makes these numbers out of those.
//!
//! A [`Scene`] is one pair of tensors that disagree, with all that both traces hold around it. Every [`Rule`] says what
//! its mistake would have made there, with parameters fitted where it has some; [`explain`] judges all of them alike:
//! what leaves no more than rounding, with the fewest fitted numbers, is the cause. Nothing that explains is
//! reported as unknown, and several that explain equally well as an ambiguity.

mod around;
mod find;
mod fit;
pub mod formula;
mod judgement;
mod numbers;
mod outline;
mod pages;
mod rule;
mod rules;
mod scene;
mod site;
mod tensors;

pub use find::{Source, explain_at, first_scene};
pub use fit::{Basis, Fit, Parameter};
pub use judgement::{Cause, Certainty, Explanation, Outcome, Tried, explain};
pub use numbers::{Narrow, looks_like};
pub use outline::Outline;
pub use pages::{all_pages, rule_of};
pub use rule::{Page, Rule};
pub use rules::RULES;
pub use scene::{Known, Scene, Side};
pub use site::{Kind, Site};
pub use tensors::Tensors;
