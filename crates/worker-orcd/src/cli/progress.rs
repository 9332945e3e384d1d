//! Progress bars, on stderr and only when it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `total` steps; hidden when stderr is no terminal.
///
/// It has no colours, so `NO_COLOR` has nothing to turn off.
pub(crate) fn bar(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} [{wide_bar}] {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
        .with_style(style.progress_chars("=> "))
        .with_prefix(what)
}
