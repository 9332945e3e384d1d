//! The pairing for a terminal.

use super::undone::pattern;
use crate::align::Place;
use crate::report::v1::{PairedName, Pairing, UnpairedName};
use crate::report::words;
use std::fmt::Write;

/// Lines that differ in the layer only are one.
struct Row {
    checkpoint: String,
    names: [String; 2],
    shapes: [Vec<usize>; 2],
    layers: u64,
    pairs: u64,
    positions: [i64; 2],
}

impl Pairing {
    /// A table of what is paired and lists of what is not; layers together unless `verbose`.
    pub fn text(&self, verbose: bool) -> String {
        let mut text = String::new();
        for used in &self.maps {
            let chosen = if used.automatic {
                ", chosen by its names"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "{}: names by the map `{}`{chosen}: {} of {} foreign names known, {} passed over",
                used.side,
                used.map.escape_debug(),
                used.known_names,
                used.foreign_names,
                words::counted(used.ignored_records, "record")
            );
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let rows = rows(&self.paired, verbose);
        let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
        let widths = [
            width(&mut rows.iter().map(|row| row.checkpoint.chars().count())).max(10),
            width(&mut rows.iter().map(|row| row.names[0].chars().count())).max(9),
            width(&mut rows.iter().map(|row| row.names[1].chars().count())).max(9),
        ];
        let [first, second, third] = widths;
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "{:<first$}  {:<second$}  {:<third$}  {:>6}  {:>8}  shapes",
                "checkpoint", "reference", "candidate", "pairs", "tokens"
            );
        }
        for row in &rows {
            let [ours, theirs] = &row.shapes;
            let shapes = if ours == theirs {
                format!("{ours:?}")
            } else {
                format!("{ours:?} {theirs:?}")
            };
            let layers = if row.layers > 1 {
                format!("  {} layers", row.layers)
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{:<first$}  {:<second$}  {:<third$}  {:>6}  {:>8}  {shapes}{layers}",
                row.checkpoint,
                row.names[0],
                row.names[1],
                words::count(row.pairs),
                format!("{}..{}", row.positions[0], row.positions[1] - 1),
            );
        }
        for (side, names) in [
            ("reference", &self.only_in_reference),
            ("candidate", &self.only_in_candidate),
        ] {
            unpaired(&mut text, side, names, verbose);
        }
        let pairs = self.paired.iter().map(|name| name.pairs).sum();
        let _ = writeln!(
            text,
            "\n{} of {}",
            words::counted(pairs, "pair"),
            words::counted(self.paired.len() as u64, "checkpoint")
        );
        text
    }
}

fn unpaired(text: &mut String, side: &str, names: &[UnpairedName], verbose: bool) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nonly in the {side}");
    let mut groups: Vec<(String, bool, u64)> = Vec::new();
    for name in names {
        let shown = shown(&name.checkpoint, verbose);
        match groups
            .iter_mut()
            .find(|(group, elsewhere, _)| *group == shown && *elsewhere == name.elsewhere)
        {
            Some((_, _, records)) => *records += name.records,
            None => groups.push((shown, name.elsewhere, name.records)),
        }
    }
    for (name, elsewhere, records) in groups {
        let note = if elsewhere {
            ", which the other trace has at other positions"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {name}  {}{note}",
            words::counted(records, "record")
        );
    }
}

fn shown(checkpoint: &str, verbose: bool) -> String {
    let name = if verbose {
        checkpoint.to_owned()
    } else {
        pattern(checkpoint)
    };
    name.escape_debug().to_string()
}

fn rows(paired: &[PairedName], verbose: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for name in paired {
        let layer = match Place::of(&name.checkpoint) {
            Some(Place::Layer(layer, _)) if !verbose => Some(layer.to_string()),
            _ => None,
        };
        let own = |own: &String| {
            let folded = layer
                .as_ref()
                .map_or_else(|| own.clone(), |layer| without_number(own, layer));
            folded.escape_debug().to_string()
        };
        let row = Row {
            checkpoint: shown(&name.checkpoint, verbose),
            names: [own(&name.names[0]), own(&name.names[1])],
            shapes: name.shapes.clone(),
            layers: 1,
            pairs: name.pairs,
            positions: name.positions,
        };
        let same = |other: &&mut Row| {
            (&other.checkpoint, &other.names, &other.shapes)
                == (&row.checkpoint, &row.names, &row.shapes)
        };
        match rows.iter_mut().find(same) {
            Some(other) => {
                other.layers += 1;
                other.pairs += row.pairs;
                other.positions = [
                    other.positions[0].min(row.positions[0]),
                    other.positions[1].max(row.positions[1]),
                ];
            }
            None => rows.push(row),
        }
    }
    rows
}

/// The name with `*` for a number of its own that is the layer's.
fn without_number(name: &str, layer: &str) -> String {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let alone = |(at, _): &(usize, &str)| {
        !digit(name[..*at].chars().next_back()) && !digit(name[at + layer.len()..].chars().next())
    };
    match name.match_indices(layer).find(alone) {
        Some((at, _)) => format!("{}*{}", &name[..at], &name[at + layer.len()..]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_number;

    #[test]
    fn only_the_number_of_the_layer() {
        assert_eq!(
            without_number("model.layers.1.mlp.fc12", "1"),
            "model.layers.*.mlp.fc12"
        );
        assert_eq!(without_number("Qcur-12", "12"), "Qcur-*");
        assert_eq!(without_number("Qcur-12", "2"), "Qcur-12");
        assert_eq!(without_number("embedding", "0"), "embedding");
    }
}
