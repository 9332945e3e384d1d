//! What a check of one trace found.

use serde::Serialize;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; sound traces may have it.
    Info,
    /// Something is missing, imprecise or odd; what remains can be used.
    Warning,
    /// The trace is damaged: numbers in it are not what the engine computed.
    Error,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The records that a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// How many.
    pub count: u64,
    /// The lines of the first ones, at most [`Records::FIRST`].
    pub first_lines: Vec<u64>,
}

impl Records {
    /// How many lines are kept.
    pub const FIRST: usize = 5;

    /// Counts the record of a line.
    pub(super) fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first_lines.len() < Self::FIRST {
            self.first_lines.push(line);
        }
    }

    /// Takes in others; the smallest lines are kept.
    pub(super) fn extend(&mut self, others: &Self) {
        self.count += others.count;
        self.first_lines.extend(&others.first_lines);
        self.first_lines.sort_unstable();
        self.first_lines.dedup();
        self.first_lines.truncate(Self::FIRST);
    }

    /// The line of the first record, 0 where there is none.
    pub fn first(&self) -> u64 {
        self.first_lines.first().copied().unwrap_or(0)
    }
}

/// One kind of damage or oddity of a trace, however often it occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The stable code, `S001`.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: String,
    /// The numbers that show it.
    pub evidence: String,
    /// What most likely did it, where that can be told.
    pub cause: Option<String>,
    /// What to do.
    pub advice: String,
    /// Where.
    pub records: Records,
}

/// `1 record`, `2 records`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// The first names in backticks, and how many more there are.
pub(super) fn name_list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 4;
    let mut text = String::new();
    let mut more = 0_usize;
    for (index, name) in names.enumerate() {
        if index >= SHOWN {
            more += 1;
            continue;
        }
        if index > 0 {
            text.push_str(", ");
        }
        // A name is anything that the trace holds; it must not bring control characters to a terminal.
        text.push_str(&format!("`{}`", name.escape_debug()));
    }
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
