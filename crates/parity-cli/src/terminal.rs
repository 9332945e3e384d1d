//! Colours and characters of the two streams.

use crate::args::ColorWhen;
use anstream::AutoStream;
use std::io::{IsTerminal, Stderr, Stdout};

/// Standard output, which drops colours where nobody would see them.
pub(crate) fn stdout(color: ColorWhen) -> AutoStream<Stdout> {
    AutoStream::new(std::io::stdout(), color.into())
}

/// Standard error, likewise.
pub(crate) fn stderr(color: ColorWhen) -> AutoStream<Stderr> {
    AutoStream::new(std::io::stderr(), color.into())
}

/// Whether block characters will be shown as such.
///
/// Where the locale is set it decides, as it does for every other program; where it is not, a terminal of
/// today reads UTF-8, and a file or pipe gets plain ASCII.
pub(crate) fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    match locale {
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => std::io::stdout().is_terminal(),
    }
}
