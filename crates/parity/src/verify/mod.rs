//! One trace and its model: does every operation's output follow from its inputs?

mod coarse;
mod limit;
mod run;
mod text;

pub use limit::limit;
pub use run::{Options, Progress, verify};
pub use text::render_text;
