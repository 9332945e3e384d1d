//! What a check found.

use std::collections::BTreeMap;

/// Whose trace a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The reference's.
    Reference,
    /// The candidate's.
    Candidate,
    /// Both, or the two against each other.
    Both,
}

impl Side {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Candidate => "candidate",
            Self::Both => "both",
        }
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something was left out, or a check could not be made.
    Warning,
    /// The two traces cannot be compared.
    Error,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $id:literal, $name:literal, $severity:ident;)+) => {
        /// What kind of finding it is. `T…` is about the run file of one trace, `C…` about the two traces together; what
        /// lies in a trace itself has the codes `S…` of [`soundness`](super::soundness).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
        }

        impl Code {
            /// The stable code.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// The name in words.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How much it weighs.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// There is no run file.
    RunFileMissing = "T009", "run-file-missing", Note;
    /// The run file cannot be used.
    RunFileUnreadable = "T010", "run-file-unreadable", Warning;
    /// Logging changed what the engine computes.
    Perturbed = "T011", "perturbed", Warning;
    /// The two engines did not see the same tokens.
    DifferentTokens = "C001", "different-tokens", Error;
    /// The two models are not of one architecture or depth.
    DifferentModels = "C002", "different-models", Error;
    /// The two model files differ.
    DifferentModelFiles = "C003", "different-model-files", Warning;
    /// The two models' weights have different storage types.
    DifferentWeights = "C004", "different-weights", Warning;
    /// No record of one trace has a partner in the other.
    NothingInCommon = "C005", "nothing-in-common", Error;
    /// Nothing says whether both engines saw the same tokens.
    InputsUnproven = "C006", "inputs-unproven", Warning;
    /// The positions of the two traces begin differently, and nothing proves that they count from one origin.
    PositionsUnproven = "C007", "positions-unproven", Error;
    /// Records had partners, but no pair could be compared.
    NothingComparable = "C008", "nothing-comparable", Error;
    /// The numbers agree at another distance of positions.
    PositionsShifted = "C009", "positions-shifted", Error;
    /// Several shipped name maps fit, and read the names differently.
    NamesUndecided = "C010", "names-undecided", Warning;
    /// The logits of the two traces are not the same thing: other rows, or what a sampler made of them.
    OtherLogits = "C011", "other-logits", Error;
    /// Two model files with different parameters.
    DifferentParameters = "C012", "different-parameters", Error;
    /// Vocabularies that differ by more than padding.
    DifferentVocabulary = "C013", "different-vocabulary", Error;
    /// Less was compared than was asked for.
    CoverageTooLow = "C014", "coverage-too-low", Error;
    /// Lanes of Q are reordered and those of K are not, or the other way round.
    LanesOnOneSide = "C015", "lanes-on-one-side", Warning;
    /// Records of several ranks of a sharded run on one side only.
    RanksNotMerged = "C016", "ranks-not-merged", Warning;
}

/// One kind of finding about one side, however often it occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// Whose trace.
    pub side: Side,
    /// How often.
    pub count: u64,
    /// The first occurrences in words, at most [`Findings::EXAMPLES`].
    pub examples: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Findings, grouped, so that a file of malformed lines takes no more memory than one.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    found: BTreeMap<(Code, Side), Finding>,
}

impl Findings {
    /// How many occurrences of one kind are kept in words.
    pub const EXAMPLES: usize = 50;

    /// Notes one occurrence; `example` is only called while examples are kept.
    pub fn add(&mut self, code: Code, side: Side, example: impl FnOnce() -> String) {
        let finding = self.found.entry((code, side)).or_insert_with(|| Finding {
            code,
            side,
            count: 0,
            examples: Vec::new(),
            help: None,
        });
        finding.count += 1;
        if finding.examples.len() < Self::EXAMPLES {
            finding.examples.push(example());
        }
    }

    /// As [`Findings::add`], with what to do about it.
    pub fn add_with_help(&mut self, code: Code, side: Side, example: String, help: &str) {
        self.add(code, side, || example);
        if let Some(finding) = self.found.get_mut(&(code, side)) {
            finding.help.get_or_insert_with(|| help.to_owned());
        }
    }

    /// Takes in the findings of another check.
    pub fn extend(&mut self, others: Self) {
        for (key, other) in others.found {
            match self.found.entry(key) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(other);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let finding = place.get_mut();
                    finding.count += other.count;
                    finding.examples.extend(other.examples);
                    finding.examples.truncate(Self::EXAMPLES);
                    finding.help = finding.help.take().or(other.help);
                }
            }
        }
    }

    /// True where a finding of this kind is there.
    pub fn has(&self, code: Code) -> bool {
        self.found.keys().any(|(found, _)| *found == code)
    }

    /// True where the traces cannot be compared.
    pub fn has_errors(&self) -> bool {
        self.found
            .keys()
            .any(|(code, _)| code.severity() == Severity::Error)
    }

    /// All findings: the weightiest first, then by code and side.
    pub fn into_sorted(self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.found.into_values().collect();
        all.sort_by_key(|finding| std::cmp::Reverse(finding.code.severity()));
        all
    }
}
