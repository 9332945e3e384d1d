//! Forms of the report that other programs read.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use parity::Options;
use parity::report::v1::Report;
use parity::report::{Csv, Html, Json, Junit, Markdown, Render, schema};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;
use support::{Folder, compare_with, record, tokens};

const HOSTILE: &str = "</script><img src=x onerror=\"alert(1)\">|`@all`\u{202e}\u{1b}[31m";

fn report() -> Report {
    let folder = Folder::new();
    let trace = |far: f32| {
        vec![
            tokens(0, &[5, 6]),
            record("layer_0_q", 0, &[1.0, 2.0, 3.0, 4.0])
                .shape(&[2, 2])
                .n_tokens(2),
            record(HOSTILE, 0, &[1.0, 2.0, 3.0, far])
                .shape(&[2, 2])
                .n_tokens(2),
            record("=1+1", 0, &[1.0, f32::NAN]),
        ]
    };
    let (reference, candidate) = (
        folder.write("ref.jsonl", &trace(4.0)),
        folder.write("cand.jsonl", &trace(8.0)),
    );
    let options = Options {
        cells: true,
        inspect: 10,
        ..Options::default()
    };
    compare_with(&reference, &candidate, &options)
}

fn rendered(form: &dyn Render, report: &Report) -> String {
    let mut out = Vec::new();
    form.render(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../spec/report-v1.schema.json"
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(
        published == schema(),
        "spec/report-v1.schema.json is not what `parity schema` prints: UPDATE_GOLDEN=1 writes it anew"
    );
}

#[test]
fn json_reads_back() {
    let report = report();
    let read: Report = serde_json::from_str(&rendered(&Json, &report)).unwrap();
    // NaN is not equal to itself, so that the texts are compared.
    assert_eq!(rendered(&Json, &read), rendered(&Json, &report));
    assert_eq!(read.inspections.len(), 3);
    let hostile = read
        .inspections
        .iter()
        .find(|look| look.pair.checkpoint == HOSTILE)
        .unwrap();
    // One element of four differs, by 4: between 10^0.5 and 10^1.
    let differences = hostile.differences.as_ref().unwrap();
    assert_eq!(
        (
            differences.equal,
            differences.from_log10,
            differences.counts.as_slice()
        ),
        (3, 0.5, &[1][..])
    );
    // It is in the second token and the second channel: 16 of 9 + 16, 16 of 4 + 16.
    let decibels = |share: f64| Some((10.0 * share.log10()).round() as i32);
    let axes: Vec<_> = hostile
        .axes
        .iter()
        .map(|axis| (axis.name.as_str(), axis.nmse_db.as_slice()))
        .collect();
    assert_eq!(
        axes,
        [
            ("token", &[None, decibels(16.0 / 25.0)][..]),
            ("channel", &[None, decibels(16.0 / 20.0)][..])
        ]
    );
}

#[test]
fn junit_has_a_case_for_each_checkpoint() {
    let report = report();
    let xml = rendered(&Junit, &report);
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().check_end_names = true;
    let (mut counts, mut names) = (BTreeMap::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                for attribute in start.attributes() {
                    let attribute = attribute.unwrap();
                    let value = attribute.unescape_value().unwrap().into_owned();
                    if name == "testcase" && attribute.key.as_ref() == b"name" {
                        names.push(value);
                    } else if name == "testsuite" && attribute.key.as_ref() == b"failures" {
                        assert_eq!(value, "2", "the verdict and one checkpoint");
                    }
                }
                *counts.entry(name).or_insert(0) += 1;
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((counts["testcase"], counts["failure"]), (4, 2));
    assert_eq!(names[0], "verdict");
    assert!(
        names.iter().any(|name| name.starts_with("</script>")),
        "{names:?}"
    );
    assert!(!xml.contains('\u{1b}') && !xml.contains('\u{202e}'));
}

#[test]
fn markdown_is_short_and_safe() {
    let text = rendered(&Markdown, &report());
    assert!(
        text.starts_with("### ❌ Numeric parity: diverged\n"),
        "{text}"
    );
    assert!(text.lines().count() < 60, "{text}");
    assert!(
        !text.contains("<img") || text.contains("`</script><img"),
        "markup only inside of code"
    );
    assert!(!text.contains('\u{202e}'));
    assert_eq!(
        text.matches("<details").count(),
        text.matches("</details>").count()
    );
}

#[test]
fn csv_has_no_formulas() {
    let text = rendered(&Csv, &report());
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
    // `cat` must not let a terminal obey a name.
    let harmless = HOSTILE.replace('\u{1b}', "\\u{1b}");
    assert_eq!(names, ["layer_0_q", &harmless, "'=1+1"]);
    // 16 of 1 + 4 + 9 + 16.
    assert_eq!(rows[1][5].parse(), Ok(16.0 / 30.0));
}

#[test]
fn the_page_is_one_file_whose_data_is_inert() {
    let report = report();
    let page = rendered(&Html::FILE, &report);
    assert!(page.len() < 5_000_000);
    let start = page.find("id=\"report\">").unwrap() + "id=\"report\">".len();
    let data = &page[start..start + page[start..].find("</script>").unwrap()];
    assert!(!data.contains(['<', '>', '&']));
    let mut read: Report = serde_json::from_str(data).unwrap();
    // A picture's numbers: four digits.
    let drawn = read.cells.take().unwrap();
    assert_eq!(drawn.nmse[1].0, 0.5333);
    assert_eq!(
        drawn.above_limit,
        report.cells.as_ref().unwrap().above_limit
    );
    read.cells = report.cells.clone();
    assert_eq!(rendered(&Json, &read), rendered(&Json, &report));
    // Three scripts, one of which is the data; nothing is loaded from anywhere.
    assert_eq!(page.matches("<script").count(), 3);
    assert!(!page.contains("<link") && !page.contains("<script src"));
    let head = &page[..start];
    assert!(head.contains("default-src &#39;none&#39;") || head.contains("default-src 'none'"));
}

#[test]
fn a_long_report_is_down_sampled_and_says_so() {
    let mut report = report();
    let cells = report.cells.as_mut().unwrap();
    for position in 0..60_000 {
        cells.checkpoint.push(0);
        cells.token_idx.push(position);
        cells.n_tokens.push(1);
        cells.step.push(Some(1));
        cells.seq.push(0);
        cells.nmse.push(parity::report::Number(1.234e-13));
        cells.max_abs_diff.push(None);
        cells.floor.push(None);
        cells.above_limit.push(false);
    }
    let small = Html {
        max_data_bytes: 1_000_000,
        ..Html::FILE
    };
    let page = rendered(&small, &report);
    assert!(page.len() < 2_300_000, "{}", page.len());
    assert!(!page.contains("\"positions_a_line\":1}"));
    assert!(
        page.contains("\"positions_a_line\":3}"),
        "in twos, 60,001 positions and two other lines are one more than half of all lines"
    );
}
