//! The rules' pages, and the document made of them.
#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

use parity::explain::{RULES, all_pages, rule_of};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, all_pages()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        written,
        all_pages(),
        "write it anew: UPDATE_DOCS=1 cargo test --release -p parity --test rules"
    );
}

#[test]
fn codes_are_unique_and_ascending_and_every_page_is_complete() {
    let codes: Vec<&str> = RULES.iter().map(|rule| rule.page.code).collect();
    let sorted: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>());
    for rule in RULES {
        let page = &rule.page;
        assert!(
            page.code.len() == 4 && page.code.starts_with('P'),
            "{}",
            page.code
        );
        for text in [page.detects, page.evidence, page.confirm, page.fix] {
            assert!(
                text.len() > 20 && text.ends_with('.'),
                "{}: {text}",
                page.code
            );
        }
        for report in page.reports {
            let (repository, number) = report.split_once('#').unwrap();
            assert!(
                repository.split('/').count() == 2 && number.parse::<u32>().is_ok(),
                "{report}"
            );
        }
        assert!(!rule.kinds.is_empty(), "{}", page.code);
    }
    assert_eq!(rule_of("p012").unwrap().page.code, "P012");
    assert!(rule_of("P999").is_none());
}
