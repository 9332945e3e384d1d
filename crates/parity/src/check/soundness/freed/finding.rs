//! `S001` in words.

use super::super::finding::{Finding, Records, Severity, counted, name_list};
use super::heads::Heads;

const CODE: &str = "S001";

/// The finding about the checkpoints that are hit, of `looked_at` in all.
pub(super) fn finding(hit: &[(&str, &Heads)], looked_at: usize) -> Finding {
    let mut records = Records::default();
    let (mut wild, mut empty, mut tails, mut seen) = (0, 0, 0, 0);
    for (_, heads) in hit {
        records.extend(heads.damaged());
        wild += heads.wild_addresses.max(heads.wild.iter().sum());
        empty += heads.empty.iter().sum::<u64>();
        tails += heads.tails;
        seen += heads.records;
    }
    let mut evidence = format!(
        "{} of {} of {} begin with links of a heap where numbers should be",
        records.count,
        counted(seen, "record"),
        name_list(hit.iter().map(|(name, _)| *name)),
    );
    if let Some(example) = hit.iter().find_map(|(_, heads)| heads.example.as_ref()) {
        evidence.push_str(&format!(" ({example})"));
    }
    if wild > 0 {
        evidence.push_str(&format!(
            "; in {} the lower half of an address is far out of scale beside its small upper half",
            counted(wild, "word")
        ));
    }
    if empty > 0 {
        let are = if empty == 1 { "is" } else { "are" };
        evidence.push_str(&format!(
            "; {empty} {are} zero, as at the end of a list of free chunks"
        ));
    }
    if tails > 0 {
        let end = if tails == 1 { "ends" } else { "end" };
        evidence.push_str(&format!(
            "; {} {end} with the small number where the next chunk keeps the size of a free one",
            counted(tails, "record")
        ));
    }
    evidence.push_str("; everything between is ordinary");
    // One tensor's own buffer is hit in all its records and always has the same neighbour in the list.
    let of_tensor = hit.len() * 2 < looked_at
        && hit.iter().all(|(_, heads)| {
            heads.damaged().count * 5 >= heads.records * 4 && !heads.were_free_together()
        });
    let cause = if !of_tensor {
        "the logger's own buffers were freed before they were written: it collects values in \
         memory and writes them at exit, when the destructor of the static logger has already \
         run. This is not a fault of the engine: what it computed stands behind the first 16 \
         bytes of each record"
    } else {
        "these tensors had been freed when they were read: the logger keeps a pointer where it \
         should copy, or the engine hands out its buffers before the logging call; the trace's \
         other checkpoints are not touched"
    };
    Finding {
        code: CODE,
        severity: Severity::Error,
        title: "freed memory was logged".to_owned(),
        evidence,
        cause: Some(cause.to_owned()),
        advice: "do not compare this trace; log once more with a logger that has written a record \
                 when the call returns (`orch_log.hpp`, `orch_log!`), or flush before `main` returns"
            .to_owned(),
        records,
    }
}
