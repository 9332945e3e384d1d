//! A trace may hold anything: no record brings the check down.

use orch_log::format::parse_line;
use parity::check::soundness::Soundness;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f32>().prop_map(|value| if value.is_finite() {
            format!("{value:e}")
        } else {
            "NaN".to_owned()
        }),
        prop::sample::select(vec![
            "0",
            "-0.0",
            "1e400",
            "-1e308",
            "1e-320",
            "\"Infinity\"",
            "null",
            "3.4e38",
            "1.4e-45"
        ])
        .prop_map(str::to_owned),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        0_i64..20,
        Just(i64::MAX),
        Just(i64::MAX - 1),
        any::<i64>().prop_map(i64::saturating_abs)
    ]
}

prop_compose! {
    fn record()(
        name in prop::sample::select(vec!["tokens", "embedding", "layer_0_q", "layer_4294967295_k", "layer_9_attn_probs", "\\u001b[2J", ""]),
        dtype in prop::sample::select(vec!["f32", "f64", "f16", "bf16", "i32", "u8", "i64", "q4_1", "nonsense"]),
        values in prop::collection::vec(number(), 0..20),
        token_idx in prop_oneof![integer(), any::<i64>()],
        shape in prop::collection::vec(integer(), 0..4),
        counts in prop::collection::vec(integer(), 12),
        statistics in prop::collection::vec(number(), 4),
        parts in prop::bits::u8::ANY,
    ) -> String {
        let optional = |bit: u8, text: String| if parts >> bit & 1 == 1 { text } else { String::new() };
        format!(
            r#"{{"checkpoint":"{name}","team":"t","token_idx":{token_idx},"dtype":"{dtype}","shape":{shape:?},"values":[{}]{}{}{}{}{}}}"#,
            values.join(","),
            optional(0, format!(r#","n_tokens":{},"token_axis":{}"#, counts[0], counts[1])),
            optional(1, format!(r#","step":{},"seq":{},"occurrence":{},"ts_ns":{}"#, counts[2], counts[3], counts[4], counts[5])),
            optional(2, format!(
                r#","stats":{{"n":{},"nan":{},"inf":{},"zero":{},"min":{},"max":{},"mean":{},"rms":{}}}"#,
                counts[6], counts[7], counts[8], counts[9], statistics[0], statistics[1], statistics[2], statistics[3]
            )),
            optional(3, format!(r#","rank":{},"world":{}"#, counts[10], counts[11])),
            optional(4, format!(r#","payload":{{"file":"x","offset":{},"nbytes":{}}}"#, counts[5], counts[6])),
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_record_brings_it_down(lines in prop::collection::vec(record(), 1..30)) {
        let mut soundness = Soundness::new();
        let mut read = 0;
        for (index, line) in lines.iter().enumerate() {
            if let Ok(parsed) = parse_line(line.as_bytes()) {
                read += 1;
                // Once more, so that repetitions are common.
                soundness.observe(&parsed.record, index as u64);
                soundness.observe(&parsed.record, u64::MAX);
            }
        }
        prop_assert_eq!(soundness.records(), 2 * read);
        for finding in soundness.finish() {
            let text = format!("{}{}{}", finding.title, finding.evidence, finding.advice);
            prop_assert!(!text.contains(char::is_control), "{}", text);
        }
    }
}
