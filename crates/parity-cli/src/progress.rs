//! Progress bars, on stderr and only when it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `total` bytes.
pub(crate) fn bytes(what: &'static str, total: u64) -> ProgressBar {
    bar(
        what,
        total,
        "{prefix:>12} [{wide_bar}] {bytes}/{total_bytes}",
    )
}

/// A bar of `total` steps.
#[cfg(feature = "llama")]
pub(crate) fn steps(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{prefix:>12} [{wide_bar}] {pos}/{len}")
}

/// Without colours, so that `NO_COLOR` has nothing to turn off; indicatif hides it where stderr is no terminal.
fn bar(what: &'static str, total: u64, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style.progress_chars("=> "))
        .with_prefix(what)
}

/// A bar that shows a percentage of `total` steps.
#[cfg(feature = "llama")]
pub(crate) fn percent(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{prefix:>12} [{wide_bar}] {percent} %")
}
