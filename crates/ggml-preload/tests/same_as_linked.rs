//! A program that is not ours gives the records that the linked capture gives, and does not notice.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use ggml_capture::llama::{FlashAttention, KvType};
use ggml_capture::{Config, Summary};
use orch_log::{Detail, Settings};
use support::{Tensor, compile, model, preload, read, run};

const PROMPT: &str = "The capital of France is";
const PICKS: usize = 6;

/// What the linked llama.cpp computes.
fn linked(trace: &Path) -> Summary {
    let mut log = Settings::new(trace, "llama.cpp");
    log.detail = Detail::Full;
    let config = Config {
        model: model(),
        prompt: Some(PROMPT.to_owned()),
        beside: Vec::new(),
        n_ubatch: None,
        n_predict: Some(PICKS),
        log,
        all: false,
        kv_type: KvType::F16,
        flash_attn: FlashAttention::Off,
        threads: 1,
        gpu_layers: 0,
        check_logits: false,
        temperature: 0.0,
        seed: 0,
        forced: None,
    };
    ggml_capture::run(&config, &AtomicBool::new(false), &mut |_| ()).expect("the model runs")
}

/// By pass and name: where it belongs and what is in it.
fn by_name(tensors: Vec<Tensor>) -> BTreeMap<(u64, String), Tensor> {
    let key = |tensor: &Tensor| {
        (
            tensor.record.step.expect("a step"),
            tensor.record.checkpoint.clone(),
        )
    };
    let count = tensors.len();
    let map: BTreeMap<_, _> = tensors
        .into_iter()
        .map(|tensor| (key(&tensor), tensor))
        .collect();
    assert_eq!(map.len(), count, "a name came twice in a pass");
    map
}

#[test]
fn every_record_equals_the_linked_one_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile("cpp/examples/llama_main_loop.cpp", &[]);
    let command = || {
        let mut command = Command::new(&program);
        command.arg(model()).arg(PROMPT).arg(PICKS.to_string());
        command
    };

    let plain = run(&mut command());
    let trace = folder.path().join("program.jsonl");
    let (captured, _) = preload(&mut command(), &trace);
    assert_eq!(
        captured.stdout, plain.stdout,
        "the program's output is unchanged"
    );
    assert_eq!(captured.stderr, plain.stderr);

    let reference = folder.path().join("linked.jsonl");
    let summary = linked(&reference);
    assert_eq!(
        String::from_utf8_lossy(&plain.stdout).trim_end_matches('\n'),
        summary.text.trim_end_matches('\n')
    );

    let (expected, found) = (by_name(read(&reference)), by_name(read(&trace)));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    let (mut whole, mut last) = (0, 0);
    for (key, expected) in &expected {
        let found = &found[key];
        let (left, right) = (&expected.record, &found.record);
        assert_eq!(
            (left.dtype, &left.op, &left.src),
            (right.dtype, &right.op, &right.src),
            "{key:?}"
        );
        if left.n_tokens == right.n_tokens {
            assert_eq!(
                (left.token_idx, &left.shape),
                (right.token_idx, &right.shape),
                "{key:?}"
            );
            assert_eq!(expected.bytes, found.bytes, "{key:?}");
            whole += 1;
        } else {
            // The linked capture asks for all logits, the program for the last: the rows that it dropped are
            // missing at the end of the prompt's last block.
            assert_eq!((key.0, right.n_tokens), (0, 1), "{key:?}");
            assert_eq!(
                right.token_idx,
                left.token_idx + left.n_tokens as i64 - 1,
                "{key:?}"
            );
            let row = expected.bytes.len() / left.n_tokens;
            assert_eq!(
                expected.bytes[expected.bytes.len() - row..],
                found.bytes,
                "{key:?}"
            );
            last += 1;
        }
    }
    // Residual, norm, gate, up, act, down, output of the last block; the final norm; the logits.
    assert_eq!(last, 9);
    assert!(
        whole > 500 * (summary.passes - 1),
        "{whole} records in {} passes",
        summary.passes
    );
}

#[test]
fn token_ids_and_positions_come_from_the_graph() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile("cpp/examples/llama_main_loop.cpp", &[]);
    let trace = folder.path().join("program.jsonl");
    preload(
        Command::new(&program)
            .arg(model())
            .arg(PROMPT)
            .arg(PICKS.to_string()),
        &trace,
    );
    let summary = linked(&folder.path().join("linked.jsonl"));

    let fed = [summary.prompt_tokens.as_slice(), &summary.continuation].concat();
    let mut position = 0;
    let tensors = read(&trace);
    for (step, tokens) in tensors
        .iter()
        .filter(|tensor| tensor.record.checkpoint == "tokens")
        .enumerate()
    {
        let record = &tokens.record;
        assert_eq!(
            (record.token_idx, record.step),
            (position as i64, Some(step as u64))
        );
        let expected: Vec<f64> = fed[position..position + record.n_tokens]
            .iter()
            .map(|id| f64::from(*id))
            .collect();
        assert_eq!(record.values, expected);
        position += record.n_tokens;
    }
    // The last pick is not fed.
    assert_eq!(position, summary.prompt_tokens.len() + summary.passes - 1);
}
