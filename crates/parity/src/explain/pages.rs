//! The pages of the rules, as text.

use super::{Page, RULES, Rule};
use std::fmt::Write;

/// The rule of a code, whatever its case.
pub fn rule_of(code: &str) -> Option<&'static Rule> {
    let named = |rule: &&&Rule| rule.page.code.eq_ignore_ascii_case(code);
    RULES.iter().find(named).copied()
}

impl Page {
    /// The page in Markdown.
    pub fn markdown(&self) -> String {
        let reports = match self.reports {
            [] => String::new(),
            reports => format!("\n**Real reports.** {}.\n", reports.join(", ")),
        };
        format!(
            "## {} {}\n\n{}\n\n**Evidence.** {}\n\n**To confirm.** {}\n\n**To fix.** {}\n{reports}",
            self.code, self.name, self.detects, self.evidence, self.confirm, self.fix
        )
    }
}

/// `docs/rules.md`: all pages, and how they are judged.
pub fn all_pages() -> String {
    let mut text = String::from(INTRODUCTION);
    for rule in RULES {
        let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.name()).collect();
        let _ = writeln!(
            text,
            "| [{0}](#{1}) | {2} | {3} |",
            rule.page.code,
            anchor(&rule.page),
            rule.page.name,
            kinds.join(", ")
        );
    }
    for rule in RULES {
        text.push('\n');
        text.push_str(&rule.page.markdown());
    }
    text
}

/// The anchor that Markdown viewers give to the page's heading.
fn anchor(page: &Page) -> String {
    let heading = format!("{} {}", page.code, page.name).to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

const INTRODUCTION: &str = "\
# Rules

<!-- Made from the rules' own pages (crates/parity/src/explain/rules); a test compares it with them:
     `UPDATE_DOCS=1 cargo test --release -p parity --test rules` writes it anew. -->

`parity compare` names a cause where one is proven; `parity explain REF CAND --model M.gguf` shows everything that was
tried, and `parity explain P012` prints a page of this list.

Every rule says what its mistake would have made, out of the candidate's own inputs where they were logged, else out of the
reference's tensors. What the right operation is comes from the model file, or is inferred from the reference's inputs and
outputs. A hypothesis *explains* when what it leaves, √(Σ(candidate − prediction)² / Σ candidate²), is no more than
rounding and at least 8 times less than without it. Of several that explain, the one with the fewest fitted numbers is
the cause; a number that comes to a familiar value counts half. When two are equally simple and leave equally little, both
are reported as *ambiguous*. When nothing explains, the answer is *unknown*.

| code | mistake | looked for at |
|---|---|---|
";
