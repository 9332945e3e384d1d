//! One planted mistake and what was said about it.

use crate::expected::expected;
use serde_json::Value;
use std::fmt;

/// What was said, against what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The right cause first.
    Right,
    /// The right cause among the first three.
    Among,
    /// No cause.
    Unknown,
    /// Another cause.
    Wrong,
    /// The comparison saw no difference beyond rounding.
    Unseen,
}

impl Answer {
    pub(crate) const ALL: [Self; 5] = [
        Self::Right,
        Self::Among,
        Self::Unknown,
        Self::Wrong,
        Self::Unseen,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Right => "right first",
            Self::Among => "among three",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Unseen => "not seen",
        }
    }
}

/// One planted mistake and what was said about it.
pub(crate) struct CaseResult {
    pub(crate) fault: String,
    pub(crate) layer: String,
    pub(crate) answer: Answer,
    /// Codes in the order in which they were given.
    pub(crate) codes: Vec<String>,
    /// The first claim, or why there is none.
    pub(crate) said: String,
}

impl CaseResult {
    /// Judges what `parity explain --format json` printed.
    pub(crate) fn of(fault: &str, layer: &str, printed: &str) -> Self {
        let right = expected(fault);
        let parsed: Option<Vec<Value>> = serde_json::from_str(printed).ok();
        let mut codes = Vec::new();
        let mut said = String::new();
        let answer = match &parsed {
            None if printed.starts_with("The traces do not disagree") => Answer::Unseen,
            None => {
                said = printed
                    .lines()
                    .next()
                    .unwrap_or("nothing was printed")
                    .to_owned();
                Answer::Unknown
            }
            Some(places) => {
                // The first place is where it begins; the others follow from it or are the same mistake again.
                let first = places.first().cloned().unwrap_or_default();
                let causes = first["causes"].as_array().cloned().unwrap_or_default();
                codes.extend(
                    causes
                        .iter()
                        .filter_map(|cause| cause["code"].as_str().map(str::to_owned)),
                );
                let claim = causes
                    .first()
                    .map_or(&first["summary"], |cause| &cause["claim"]);
                said = format!(
                    "{}: {}",
                    first["checkpoint"].as_str().unwrap_or("?"),
                    claim.as_str().unwrap_or("?")
                );
                let is_right = |code: &String| right.contains(&code.as_str());
                match codes.first() {
                    None => Answer::Unknown,
                    Some(code) if is_right(code) => Answer::Right,
                    Some(_) if codes.iter().take(3).any(is_right) => Answer::Among,
                    Some(_) => Answer::Wrong,
                }
            }
        };
        Self {
            fault: fault.to_owned(),
            layer: layer.to_owned(),
            answer,
            codes,
            said,
        }
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = self.codes.join(",");
        write!(
            f,
            "{:11} {:28} layer {:3} {codes:14} {}",
            self.answer.name(),
            self.fault,
            self.layer,
            self.said
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(printed: &str) -> Answer {
        CaseResult::of("rope-pairing", "1", printed).answer
    }

    #[test]
    fn answers_are_told_apart() {
        let causes = |codes: &[&str]| {
            let causes: Vec<String> = codes
                .iter()
                .map(|code| format!(r#"{{"code":"{code}","claim":"…"}}"#))
                .collect();
            format!(
                r#"[{{"checkpoint":"layer_1_q_rope","summary":"…","causes":[{}]}}]"#,
                causes.join(",")
            )
        };
        assert_eq!(answer(&causes(&["P030"])), Answer::Right);
        assert_eq!(answer(&causes(&["P033", "P030"])), Answer::Among);
        assert_eq!(answer(&causes(&["P033"])), Answer::Wrong);
        assert_eq!(answer(&causes(&[])), Answer::Unknown);
        assert_eq!(
            answer("The traces do not disagree: nothing to explain.\n"),
            Answer::Unseen
        );
    }
}
