//! All detectors over one trace, in one pass.

use super::finding::{Finding, Severity};
use super::lines::Lines;
use super::observed::{Asked, Detector, Ended, Observed};
use super::payloads::Payloads;
use super::text_grid::TextGrid;
use super::tokens::TokenIds;
use super::{
    constant, contradictions, cut_short, duplicates, fill, freed, layers, mixed, not_finite, order,
    overlap, positions, precision, reinterpret, repeated, shared, text_bytes, zeros,
};
use crate::align::{Names, Place};
use crate::trace::{Entry, Trace};
use orch_log::format::{DROPPED, Record};

/// Says what is wrong with the payload of a record, if something is.
type PayloadFault<'a> = dyn Fn(&Record) -> Option<String> + Send + 'a;

/// Checks one trace, record by record.
///
/// Memory is bounded by the number of checkpoint names (at most [`Names::MAX`] are told apart, each takes about 1 KB), of
/// sequences and of token positions (2^20 ids are remembered), not by the number of records.
///
/// # Example
///
/// ```
/// use orch_log::format::parse_line;
/// use parity::check::soundness::{Severity, Soundness};
///
/// // A logger's freed buffers, printed with `%f`: links of a heap where the first two logits should be.
/// let mut soundness = Soundness::new();
/// for (position, link) in [-46583.378906, -46580.878906, -46581.195312, -46541.570312, -46531.945312, -46582.632812]
///     .into_iter()
///     .chain([-46528.257812, -46536.632812, -46537.945312, 0.0])
///     .enumerate()
/// {
///     let rest = (0..8).map(|i| format!("{:.6}", (0.7 * i as f64 + position as f64).sin() * 4.0 + 5.0));
///     let line = format!(
///         r#"{{"checkpoint":"logits","team":"llama","token_idx":{position},"dtype":"f32","shape":"[151936]","values":[{link:.6},0.000000,{}]}}"#,
///         rest.collect::<Vec<_>>().join(",")
///     );
///     let record = parse_line(line.as_bytes()).expect("a record").record;
///     soundness.observe(&record, position as u64 + 1);
/// }
/// let findings = soundness.finish();
/// assert_eq!((findings[0].code, findings[0].severity), ("S001", Severity::Error));
/// assert_eq!(findings[0].records.count, 10);
/// ```
pub struct Soundness<'a> {
    names: Names,
    places: Vec<Option<Place>>,
    tokens: TokenIds,
    grids: Vec<(String, TextGrid)>,
    lines: Lines,
    payloads: Payloads,
    payload_fault: Option<Box<PayloadFault<'a>>>,
    detectors: Vec<Box<dyn Detector>>,
    records: u64,
}

impl Default for Soundness<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Teams whose way of printing is told apart; further ones share the last place.
const MAX_TEAMS: usize = 8;

impl<'a> Soundness<'a> {
    /// Nothing seen yet; payloads are not looked at.
    pub fn new() -> Self {
        let detectors: Vec<Box<dyn Detector>> = vec![
            Box::new(freed::Freed::default()),
            Box::new(text_bytes::TextBytes::default()),
            Box::new(fill::Fill::default()),
            Box::new(zeros::Zeros::default()),
            Box::new(repeated::Repeated::default()),
            Box::new(shared::Shared::default()),
            Box::new(overlap::Overlap::default()),
            Box::new(reinterpret::Reinterpret::default()),
            Box::new(not_finite::NotFinite::default()),
            Box::new(constant::Constant::default()),
            Box::new(duplicates::Duplicates::default()),
            Box::new(positions::Positions::default()),
            Box::new(layers::Layers::default()),
            Box::new(order::Order::default()),
            Box::new(mixed::Mixed::default()),
            Box::new(precision::Precision::default()),
            Box::new(contradictions::Contradictions::default()),
            Box::new(cut_short::CutShort::default()),
        ];
        Self {
            names: Names::default(),
            places: Vec::new(),
            tokens: TokenIds::default(),
            grids: Vec::new(),
            lines: Lines::default(),
            payloads: Payloads::default(),
            payload_fault: None,
            detectors,
            records: 0,
        }
    }

    /// Nothing seen of this trace yet; its payloads are looked for.
    pub fn of(trace: &'a Trace) -> Self {
        Self::new().with_payloads(|record| {
            let fault = trace.payload(record).and_then(Result::err);
            fault.map(|fault| fault.to_string())
        })
    }

    /// Asks `fault` what is wrong with the payload of each record: whoever reads the trace knows the lengths of its files.
    pub fn with_payloads(mut self, fault: impl Fn(&Record) -> Option<String> + Send + 'a) -> Self {
        self.payload_fault = Some(Box::new(fault));
        self
    }

    /// Takes in the next line of the trace.
    pub fn observe_entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Record(located) => {
                if located.lenient_numbers {
                    self.observe_lenient_numbers(located.line);
                }
                self.observe(&located.record, located.line);
            }
            Entry::Malformed(malformed) => self.observe_malformed(
                malformed.line,
                malformed.column,
                &malformed.message,
                malformed.half_written,
            ),
        }
    }

    /// Takes in the record of a line, counted from 1.
    pub fn observe(&mut self, record: &Record, line: u64) {
        if record.checkpoint == DROPPED {
            self.lines
                .dropped(line, record.values.first().copied().unwrap_or(f64::NAN));
            return;
        }
        self.records += 1;
        if let Some(fault) = self.payload_fault.as_ref().and_then(|fault| fault(record)) {
            self.payloads.fault(line, fault);
        }
        self.tokens.observe(record);
        let Some(name) = self.names.id(&record.checkpoint) else {
            self.lines.unnamed(line);
            return;
        };
        if self.places.len() <= name.index() {
            self.places.push(Place::of(&record.checkpoint));
        }
        let grid = self.grid_of(&record.team);
        grid.observe(&record.values, record.dtype);
        let half_step = grid.half_step();
        let seen = Observed {
            record,
            line,
            name,
            place: self.places[name.index()],
            maybe_fixed: half_step > 0.0,
            half_step,
            tokens: &self.tokens,
            asked: Asked::default(),
        };
        for detector in &mut self.detectors {
            detector.observe(&seen);
        }
    }

    /// Notes that a number of a record was written as JSON does not have it.
    pub fn observe_lenient_numbers(&mut self, line: u64) {
        self.lines.lenient(line);
    }

    /// Takes in a line that is not a record; `half_written` for a last line without a line end.
    pub fn observe_malformed(
        &mut self,
        line: u64,
        column: usize,
        message: &str,
        half_written: bool,
    ) {
        self.lines.malformed(line, column, message, half_written);
    }

    /// Records so far, without those that only report on the logger itself.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What was found: the weightiest first, then by code.
    pub fn finish(mut self) -> Vec<Finding> {
        let printed: Vec<_> = self
            .grids
            .into_iter()
            .map(|(team, grid)| (team, grid.printed()))
            .collect();
        let ended = Ended {
            names: &self.names,
            printed: &printed,
        };
        let mut findings = self.lines.finish(self.records);
        findings.extend(self.payloads.finish());
        for detector in &mut self.detectors {
            findings.extend(detector.finish(&ended));
        }
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.code));
        findings
    }

    fn grid_of(&mut self, team: &str) -> &mut TextGrid {
        let known = self.grids.iter().position(|(known, _)| known == team);
        let index = known.unwrap_or_else(|| {
            if self.grids.len() < MAX_TEAMS {
                self.grids.push((team.to_owned(), TextGrid::default()));
            }
            self.grids.len() - 1
        });
        &mut self.grids[index].1
    }
}

/// True where the findings say that the trace is damaged.
pub fn is_damaged(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}
