//! Verdicts, and the exit codes that go with them.

/// Exit codes of the command `parity`; part of its contract.
pub mod exit_code {
    /// The traces agree: `match`, `rounding` or, unless `--strict`, `drift`.
    pub const AGREES: u8 = 0;
    /// `diverged`.
    pub const DIVERGED: u8 = 1;
    /// Wrong usage or unreadable input; no comparison was made.
    pub const UNUSABLE_INPUT: u8 = 2;
    /// `not comparable`.
    pub const NOT_COMPARABLE: u8 = 3;
    /// Stopped by Ctrl-C, as shells count it: 128 + SIGINT.
    pub const INTERRUPTED: u8 = 130;
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything that both traces hold is bit-identical.
    Match,
    /// The differences are within the limits.
    Rounding,
    /// The differences exceed the noise of the whole model, yet no operation adds more than rounding.
    Drift,
    /// Some operation adds more than rounding.
    Diverged,
    /// The two traces do not answer the question.
    NotComparable,
}

impl Verdict {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Rounding => "rounding",
            Self::Drift => "drift",
            Self::Diverged => "diverged",
            Self::NotComparable => "not comparable",
        }
    }

    /// The exit code of a command that ends with it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Match | Self::Rounding | Self::Drift => exit_code::AGREES,
            Self::Diverged => exit_code::DIVERGED,
            Self::NotComparable => exit_code::NOT_COMPARABLE,
        }
    }
}
