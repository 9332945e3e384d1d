//! The report for a browser: one file that opens without a network.

use super::render::Render;
use super::v1::{Cells, Report};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

const PAGE: &str = include_str!("../../../../viewer/page.html");
const STYLE: &str = include_str!("../../../../viewer/style.css");
const ECHARTS: &str = include_str!("../../../../viewer/vendor/echarts/echarts.min.js");
/// What the licences of the library and of its part d3 ask every copy to carry.
const NOTICES: &str = concat!(
    include_str!("../../../../viewer/vendor/echarts/NOTICE"),
    "\n",
    include_str!("../../../../viewer/vendor/echarts/licenses/LICENSE-d3"),
);
/// One script of several files, each a part of the page.
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("../../../../viewer/js/data.js"),
    include_str!("../../../../viewer/js/chart.js"),
    include_str!("../../../../viewer/js/timeline.js"),
    include_str!("../../../../viewer/js/maps.js"),
    include_str!("../../../../viewer/js/graph.js"),
    include_str!("../../../../viewer/js/spread.js"),
    include_str!("../../../../viewer/js/detail.js"),
    include_str!("../../../../viewer/js/sections.js"),
    include_str!("../../../../viewer/js/main.js"),
    "})();\n"
);

/// One self-contained page.
///
/// Names come from traces and may be hostile. They reach the page as JSON whose every `<`, `>` and `&` is an escape,
/// the page's script sets them as text only, and its policy runs no script but the two whose digests it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Html {
    /// The page is served, and may ask for pairs that it does not hold.
    pub live: bool,
    /// About how many bytes of data the page may hold; what does not fit is down-sampled or left out, and the page
    /// says so.
    pub max_data_bytes: usize,
}

impl Html {
    /// A page that can be sent by mail: with the library of the charts below 5 MB.
    pub const FILE: Self = Self {
        live: false,
        max_data_bytes: 3_600_000,
    };
    /// A page that is served from the machine that has the traces.
    pub const SERVED: Self = Self {
        live: true,
        max_data_bytes: 24_000_000,
    };
}

impl Render for Html {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let data = inert(&self.data(report)?);
        let connect = if self.live {
            "; connect-src 'self'"
        } else {
            ""
        };
        let policy = format!(
            "default-src 'none'; script-src '{}' '{}'; style-src 'unsafe-inline'; img-src data:{connect}; \
             base-uri 'none'; form-action 'none'",
            digest(ECHARTS),
            digest(SCRIPT)
        );
        let fill = |place: &str| -> String {
            match place {
                "policy" => policy.clone(),
                "title" => text(&format!("{}: {}", report.verdict, first_reason(report))),
                "style" => STYLE.to_owned(),
                "live" => if self.live { "yes" } else { "no" }.to_owned(),
                "class" => class(&report.verdict).to_owned(),
                "verdict" => text(&report.verdict),
                "reasons" => paragraphs(&report.reasons),
                "compared" => text(&format!(
                    "{} against the reference {}",
                    short(&report.candidate.path),
                    short(&report.reference.path)
                )),
                "version" => text(&report.parity_version),
                "notices" => text(NOTICES),
                "data" => data.clone(),
                "echarts" => ECHARTS.to_owned(),
                "script" => SCRIPT.to_owned(),
                _ => String::new(),
            }
        };
        for (index, part) in PAGE.split("{{").enumerate() {
            match part.split_once("}}").filter(|_| index > 0) {
                Some((place, rest)) => {
                    out.write_all(fill(place).as_bytes())?;
                    out.write_all(rest.as_bytes())?;
                }
                None => out.write_all(part.as_bytes())?,
            }
        }
        Ok(())
    }
}

impl Html {
    /// The report as JSON that fits: first fewer pairs are shown closely, then neighbouring positions share a line.
    fn data(&self, report: &Report) -> io::Result<String> {
        let mut report = report.clone();
        report.cells = report.cells.as_ref().map(Cells::shortened);
        let all = report.cells.clone();
        let mut most_cells = report.cells.as_ref().map_or(0, Cells::len);
        loop {
            let json = serde_json::to_string(&report)?;
            if json.len() <= self.max_data_bytes {
                return Ok(json);
            }
            if most_cells > MANY_CELLS || report.inspections.is_empty() {
                most_cells /= 2;
                let cells = report.cells.as_ref();
                let fewer = all.as_ref().map(|all| all.down_sampled(most_cells));
                if fewer.as_ref().map(Cells::len) == cells.map(Cells::len) {
                    // Nothing is left that could be left out: so many names are worth a larger file.
                    return Ok(json);
                }
                report.cells = fewer;
            } else {
                report.inspections.truncate(report.inspections.len() / 2);
            }
        }
    }
}

/// More lines than this are down-sampled before histograms are left out: a screen has fewer columns.
const MANY_CELLS: usize = 20_000;

/// JSON that cannot end the element that holds it, nor mean anything else to a parser of markup.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 64);
    for c in json.chars() {
        // All of them can only be inside of strings, where the escape means the same.
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

/// Text as markup: what has a meaning there is escaped, what could reorder or hide text is made visible.
fn text(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if super::words::is_harmless(c) => out.push(c),
            c => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }
    out
}

/// A name from a trace may be a page long.
fn short(long: &str) -> String {
    const MOST: usize = 600;
    if long.chars().count() <= MOST {
        long.to_owned()
    } else {
        long.chars().take(MOST).chain(['…']).collect()
    }
}

fn first_reason(report: &Report) -> String {
    let reason = report.reasons.first().map_or("", String::as_str);
    reason.chars().take(120).collect()
}

fn paragraphs(reasons: &[String]) -> String {
    reasons
        .iter()
        .map(|reason| format!("<p>{}</p>", text(&super::words::sentence(&short(reason)))))
        .collect()
}

fn class(verdict: &str) -> &'static str {
    match verdict {
        "match" | "rounding" => "good",
        "diverged" => "bad",
        _ => "doubtful",
    }
}

/// As a content security policy names a script that it runs.
fn digest(script: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(script)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    #[test]
    fn data_cannot_leave_its_element() {
        let hostile = "</script><script>alert(1)</script><!-- & \u{2028}";
        let json = serde_json::to_string(hostile).unwrap();
        let inert = inert(&json);
        assert!(!inert.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(serde_json::from_str::<String>(&inert).unwrap(), hostile);
    }

    #[test]
    fn text_is_not_markup() {
        assert_eq!(
            text("<b title=\"x\">&'\u{202e}"),
            "&lt;b title=&quot;x&quot;&gt;&amp;&#39;\\u{202e}"
        );
        assert_eq!(short(&"x".repeat(10_000)).chars().count(), 601);
    }

    #[test]
    fn the_library_is_the_one_that_is_named() {
        let named = include_str!("../../../../viewer/vendor/README.md");
        let digest: String = Sha256::digest(ECHARTS)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(named.contains(&digest), "{digest}");
        // Otherwise the page would end in the middle of it.
        assert!(!ECHARTS.contains("</script") && !SCRIPT.contains("</script"));
    }
}
