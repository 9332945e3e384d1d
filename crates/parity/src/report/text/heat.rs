//! Error by operation and layer, a character each.

use super::page::{Page, style};
use crate::align::{Place, Stage};
use crate::report::v1::{CheckpointSummary, Report};
use crate::report::words::number;
use std::collections::BTreeMap;

/// Columns of the map; a deeper model has several layers in one column.
const MAX_COLUMNS: usize = 40;

/// The worst of the checkpoints that fall into one place of the map.
#[derive(Clone, Copy, Default)]
struct Cell {
    error: f64,
    above_limit: bool,
}

impl Cell {
    fn of(row: &CheckpointSummary) -> Self {
        Self {
            error: row.worst_relative_rmse.0,
            above_limit: row.above_limit > 0,
        }
    }

    fn worst_of(a: Option<Self>, b: Self) -> Option<Self> {
        let a = a.unwrap_or_default();
        Some(Self {
            error: a.error.max(b.error),
            above_limit: a.above_limit || b.above_limit,
        })
    }
}

/// One line of the map for each operation that was compared.
pub(super) fn map(page: &mut Page, report: &Report) {
    let mut rows: BTreeMap<Stage, BTreeMap<u32, Cell>> = BTreeMap::new();
    let mut single: Vec<(Place, Cell)> = Vec::new();
    for row in &report.checkpoints {
        match Place::of(&row.checkpoint) {
            Some(Place::Layer(layer, stage)) => {
                rows.entry(stage).or_default().insert(layer, Cell::of(row));
            }
            Some(place) => single.push((place, Cell::of(row))),
            None => {}
        }
    }
    if rows.is_empty() {
        return;
    }
    single.sort_by_key(|(place, _)| *place);
    let layers = rows
        .values()
        .flat_map(BTreeMap::keys)
        .max()
        .map_or(0, |layer| *layer as usize + 1);
    let layers_a_column = layers.div_ceil(MAX_COLUMNS);
    let columns = layers.div_ceil(layers_a_column);

    page.heading("Relative error by operation and layer");
    page.put(style::FAINT, &format!("  {:<16}", ""));
    page.put(
        style::FAINT,
        &format!("{}  largest", ruler(columns, layers_a_column)),
    );
    page.end_line();
    let before = |place: &Place| *place < Place::Layer(0, Stage::AttnNorm);
    for (place, cell) in single.iter().filter(|(place, _)| before(place)) {
        line(page, &place.name(), &[Some(*cell)], columns, None);
    }
    for (stage, cells) in &rows {
        let mut shown: Vec<Option<Cell>> = vec![None; columns];
        for (layer, cell) in cells {
            let column = *layer as usize / layers_a_column;
            shown[column] = Cell::worst_of(shown[column], *cell);
        }
        let worst = cells.iter().max_by(|a, b| a.1.error.total_cmp(&b.1.error));
        line(
            page,
            stage.name(),
            &shown,
            columns,
            worst.map(|(layer, _)| *layer),
        );
    }
    for (place, cell) in single.iter().filter(|(place, _)| !before(place)) {
        line(page, &place.name(), &[Some(*cell)], columns, None);
    }
    legend(page, layers_a_column);
}

/// The layer numbers, every tenth column.
fn ruler(columns: usize, layers_a_column: usize) -> String {
    let mut ruler = vec![' '; columns.max(9)];
    for column in (0..columns).step_by(10) {
        for (offset, digit) in (column * layers_a_column).to_string().chars().enumerate() {
            if let Some(place) = ruler.get_mut(column + offset) {
                *place = digit;
            }
        }
    }
    ruler.into_iter().collect()
}

fn line(
    page: &mut Page,
    name: &str,
    cells: &[Option<Cell>],
    columns: usize,
    worst_layer: Option<u32>,
) {
    page.put(style::PLAIN, &format!("  {name:<16}"));
    let mut worst = Cell::default();
    for cell in cells {
        match cell {
            Some(cell) => {
                worst = Cell::worst_of(Some(worst), *cell).unwrap_or_default();
                let color = match (cell.above_limit, cell.error == 0.0) {
                    (true, _) => style::BAD,
                    (_, true) => style::FAINT,
                    _ => style::GOOD,
                };
                let symbol = symbol(cell.error, page.unicode());
                page.put(color, &symbol.to_string());
            }
            None => page.put(style::PLAIN, " "),
        }
    }
    page.put(
        style::PLAIN,
        &" ".repeat(columns.max(9).saturating_sub(cells.len()) + 2),
    );
    let color = if worst.above_limit {
        style::BAD
    } else {
        style::PLAIN
    };
    page.put(color, &number(worst.error));
    if let Some(layer) = worst_layer.filter(|_| worst.error > 0.0) {
        page.put(style::FAINT, &format!(" in layer {layer}"));
    }
    page.end_line();
}

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const DIGITS: [char; 8] = ['7', '6', '5', '4', '3', '2', '1', '0'];

/// One step for each power of ten: below 1e-7, below 1e-6, … below 0.1, and more.
pub(super) fn symbol(error: f64, unicode: bool) -> char {
    if error == 0.0 {
        return if unicode { '·' } else { '.' };
    }
    let below = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
    let step = below
        .iter()
        .position(|limit| error < *limit)
        .unwrap_or(below.len());
    if unicode { BLOCKS[step] } else { DIGITS[step] }
}

fn legend(page: &mut Page, layers_a_column: usize) {
    let names = [
        "<1e-7", "<1e-6", "<1e-5", "<1e-4", "<1e-3", "<0.01", "<0.1", "more",
    ];
    let symbols = if page.unicode() { BLOCKS } else { DIGITS };
    let mut text = format!("  {} 0", symbol(0.0, page.unicode()));
    for (symbol, name) in symbols.iter().zip(names) {
        text.push_str(&format!("  {symbol} {name}"));
    }
    page.line(style::FAINT, &text);
    if layers_a_column > 1 {
        page.line(
            style::FAINT,
            &format!("  each column is the worst of {layers_a_column} layers"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_for_each_power_of_ten() {
        let line: String = [0.0, 5e-8, 5e-7, 1e-4, 0.05, 0.1, f64::INFINITY, f64::NAN]
            .iter()
            .map(|error| symbol(*error, true))
            .collect();
        assert_eq!(line, "·▁▂▅▇███");
        assert_eq!(symbol(5e-7, false), '6');
        assert_eq!(symbol(0.5, false), '0');
    }

    #[test]
    fn the_ruler_names_every_tenth_column() {
        assert_eq!(ruler(30, 1), "0         10        20        ");
        assert_eq!(ruler(2, 1), "0        ");
        assert_eq!(ruler(12, 4), "0         40");
    }
}
