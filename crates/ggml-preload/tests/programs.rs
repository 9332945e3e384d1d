//! What programs do that a capture must cope with. Each runs with and without it, and must not notice.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Tensor, compile, model, output_of, preload, read};

const PROMPT: &str = "The capital of France is the";

/// A scenario's outputs without and with the capture, the traces, and what the library told.
struct Outcome {
    trace: PathBuf,
    told: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Outcome {
    fn tensors(&self) -> Vec<Tensor> {
        read(&self.trace)
    }

    /// `SEQ@POSITION:TOKENS` of each `tokens` record.
    fn tokens_of(&self, trace: &Path) -> Vec<String> {
        let tokens = |tensor: &Tensor| {
            let record = &tensor.record;
            let ids: Vec<String> = record.values.iter().map(f64::to_string).collect();
            format!("{}@{}:{}", record.seq, record.token_idx, ids.join(","))
        };
        read(trace)
            .iter()
            .filter(|tensor| tensor.record.checkpoint == "tokens")
            .map(tokens)
            .collect()
    }

    fn told(&self, kind: &str) -> Vec<&str> {
        let told = self.told.iter().filter_map(|line| {
            let mut fields = line.splitn(3, '\t');
            (fields.next()? == kind).then(|| fields.nth(1)).flatten()
        });
        told.collect()
    }
}

fn same(left: &Output, right: &Output) {
    assert_eq!(left.status, right.status, "{left:?} {right:?}");
    assert_eq!(left.stdout, right.stdout);
    assert_eq!(left.stderr, right.stderr);
}

fn scenario(name: &str, settings: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let program = compile("crates/ggml-preload/tests/programs/scenarios.cpp", &[]);
    let command = || {
        let mut command = Command::new(&program);
        command.arg(name).arg(model()).arg(PROMPT);
        command
    };
    let plain = output_of(&mut command());
    assert_eq!(plain.status.code(), Some(3), "{plain:?}");
    let trace = folder.path().join("run.jsonl");
    let (captured, told) = preload(command().envs(settings.iter().copied()), &trace);
    same(&plain, &captured);
    Outcome {
        trace,
        told,
        _folder: folder,
    }
}

/// Ids of the prompt, from llama.cpp's tokenizer by way of the first scenario's record.
fn prompt(outcome: &Outcome) -> String {
    let tokens = outcome.tokens_of(&outcome.trace);
    tokens[0]
        .strip_prefix("0@0:")
        .expect("the prompt comes first")
        .to_owned()
}

#[test]
fn passes_that_warm_up_or_probe_are_dropped() {
    let outcome = scenario("warm-up", &[]);
    let tokens = outcome.tokens_of(&outcome.trace);
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert_eq!(tokens[0].matches(',').count(), 5, "six tokens: {tokens:?}");
    assert_eq!(tokens[1], "0@6:5");
    assert_eq!(outcome.tensors()[0].record.step, Some(0));
    assert_eq!(outcome.told("problem"), [""; 0]);

    let kept = scenario("warm-up", &[("PARITY_PRELOAD_WARM_UP", "1")]);
    assert_eq!(
        kept.tokens_of(&kept.trace),
        ["0@0:1,2"],
        "beginning and end of text"
    );
    assert_eq!(
        kept.tokens_of(&kept.trace.with_file_name("run.2.jsonl")),
        ["0@0:0,0"]
    );
    assert_eq!(
        kept.tokens_of(&kept.trace.with_file_name("run.3.jsonl")),
        tokens
    );
}

#[test]
fn a_second_prompt_is_a_run_of_its_own() {
    let outcome = scenario("two-prompts", &[]);
    let prompt = prompt(&outcome);
    let mut reversed: Vec<&str> = prompt.split(',').collect();
    reversed.reverse();
    assert_eq!(
        outcome.tokens_of(&outcome.trace),
        [format!("0@0:{prompt}"), "0@6:5".to_owned()]
    );
    let second = outcome.trace.with_file_name("run.2.jsonl");
    assert_eq!(
        outcome.tokens_of(&second),
        [format!("0@0:{}", reversed.join(","))]
    );
    assert_eq!(read(&second)[0].record.step, Some(0));
    let traces = outcome.told("trace");
    assert_eq!(
        traces,
        [
            outcome.trace.to_str().expect("UTF-8"),
            second.to_str().expect("UTF-8")
        ]
    );
}

#[test]
fn a_prompt_longer_than_a_graph_takes_several_passes() {
    let outcome = scenario("split", &[]);
    let tokens = outcome.tokens_of(&outcome.trace);
    assert_eq!(tokens.len(), 2);
    assert!(
        tokens[0].starts_with("0@0:") && tokens[1].starts_with("0@4:"),
        "{tokens:?}"
    );
    let steps: Vec<_> = outcome
        .tensors()
        .iter()
        .map(|tensor| tensor.record.step)
        .collect();
    assert!(steps.is_sorted() && steps.last() == Some(&Some(1)));
    let scores = outcome.tensors();
    let scores = scores
        .iter()
        .filter(|tensor| tensor.record.checkpoint == "layer_0_attn_scores");
    let shapes: Vec<_> = scores.map(|tensor| tensor.record.shape.clone()).collect();
    assert_eq!(shapes, [[4, 9, 4], [2, 9, 6]]);
}

#[test]
fn sequences_of_one_batch_are_told_apart() {
    let outcome = scenario("sequences", &[]);
    let tokens = outcome.tokens_of(&outcome.trace);
    let places: Vec<_> = tokens
        .iter()
        .map(|tokens| tokens.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(places, ["0@0", "1@0", "0@3", "1@2"]);
    assert_eq!(tokens[2..], ["0@3:7", "1@2:8"]);
    // The first two tokens of both sequences are the same, and attend to the same.
    let tensors = outcome.tensors();
    let rows = |name: &str, seq| {
        let record = |tensor: &&Tensor| {
            let record = &tensor.record;
            record.checkpoint == name && record.seq == seq && record.step == Some(0)
        };
        let tensor = tensors
            .iter()
            .find(record)
            .unwrap_or_else(|| panic!("no {name} of sequence {seq}"));
        tensor.bytes[..tensor.bytes.len() / tensor.record.n_tokens * 2].to_vec()
    };
    for name in [
        "embedding",
        "layer_0_q",
        "layer_0_k_rope",
        "layer_0_attn_out",
        "layer_3_output",
    ] {
        assert_eq!(rows(name, 0), rows(name, 1), "{name}");
    }
    // Columns of scores are cells of the cache, of which the second sequence does not have the first.
    let scores = |tensor: &&Tensor| tensor.record.checkpoint.ends_with("attn_scores");
    assert_eq!(tensors.iter().filter(scores).count(), 0);
    let problems = outcome.told("problem");
    assert!(
        problems.len() == 1 && problems[0].contains("several sequences"),
        "{problems:?}"
    );
}

#[test]
fn fused_attention_is_captured_around_and_told() {
    let outcome = scenario("flash", &[]);
    let tensors = outcome.tensors();
    let has = |name: &str| {
        tensors
            .iter()
            .any(|tensor| tensor.record.checkpoint == name)
    };
    assert!(
        has("layer_0_q_rope")
            && has("layer_0_attn_context")
            && has("layer_29_output")
            && has("logits")
    );
    assert!(!has("layer_0_attn_scores") && !has("layer_0_attn_probs"));
    let problems = outcome.told("problem");
    assert!(
        problems.len() == 1 && problems[0].contains("-fa off"),
        "{problems:?}"
    );
}

#[test]
fn the_programs_own_callback_sees_what_it_would_see() {
    // The scenario prints what its callback was called with, and stops one graph half way.
    let outcome = scenario("own-callback", &[]);
    let tokens = outcome.tokens_of(&outcome.trace);
    assert_eq!(tokens[1..], ["0@6:5", "0@7:6"]);
    let tensors = outcome.tensors();
    let logits = |step| {
        tensors
            .iter()
            .any(|tensor| tensor.record.checkpoint == "logits" && tensor.record.step == Some(step))
    };
    assert!(logits(0) && logits(2));
}

#[test]
fn only_what_is_asked_for_is_captured() {
    let outcome = scenario(
        "plain",
        &[
            ("ORCH_LOG_FILTER", "layer_3_*,!*attn*"),
            ("ORCH_LOG_TOKENS", "0-2"),
        ],
    );
    let names: Vec<_> = outcome
        .tensors()
        .iter()
        .map(|tensor| tensor.record.checkpoint.clone())
        .collect();
    let expected = [
        "q", "k", "v", "q_rope", "k_rope", "ffn_norm", "ffn_gate", "ffn_up", "ffn_act", "ffn_out",
        "output",
    ];
    assert_eq!(names[0], "tokens", "always kept");
    assert_eq!(names[1..], expected.map(|point| format!("layer_3_{point}")));
}

#[test]
fn a_full_disk_loses_records_and_says_so() {
    let outcome = scenario("plain", &[("ORCH_LOG_MAX_BYTES", "20K")]);
    let problems = outcome.told("problem");
    assert!(
        problems.len() == 1 && problems[0].contains("were lost"),
        "{problems:?}"
    );
}

/// The library is loaded, with local scope, by a process that knew nothing of ggml when it started.
#[test]
fn a_python_process_that_loads_llama_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = compile("cpp/examples/llama_main_loop.cpp", &["-shared", "-fPIC"]);
    let script = "import ctypes, sys\n\
                  arguments = [b'engine'] + [argument.encode() for argument in sys.argv[2:]]\n\
                  ctypes.CDLL(sys.argv[1]).main(len(arguments), (ctypes.c_char_p * (len(arguments) + 1))(*arguments))\n";
    // Through a shell, as `python3` itself is often a script, whose processes all load the library.
    let command = || {
        let mut command = Command::new("sh");
        command
            .args(["-c", "python3 -c \"$@\"", "sh", script])
            .arg(&library)
            .arg(model())
            .args([PROMPT, "3"]);
        command
    };
    let plain = output_of(&mut command());
    assert!(plain.status.success(), "{plain:?}");
    let trace = folder.path().join("run.jsonl");
    let (captured, told) = preload(&mut command(), &trace);
    same(&plain, &captured);
    let passes = read(&trace)
        .iter()
        .filter(|tensor| tensor.record.checkpoint == "logits")
        .count();
    assert_eq!(passes, 3);
    assert!(
        told.iter()
            .any(|line| line.starts_with("graph") && line.ends_with("libggml-base.so")),
        "{told:?}"
    );
}

#[test]
fn a_program_without_graphs_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("run.jsonl");
    let (_, told) = preload(&mut Command::new("true"), &trace);
    assert!(
        told.iter().all(|line| line.starts_with("loaded")),
        "{told:?}"
    );
    assert!(!trace.exists());

    let library = support::shared_llama().join("libllama.so");
    let script = "import ctypes, sys; ctypes.CDLL(sys.argv[1])";
    let (_, told) = preload(
        Command::new("python3").args(["-c", script]).arg(library),
        &trace,
    );
    assert!(
        told.iter()
            .any(|line| line.starts_with("unseen") && line.ends_with("libggml-base.so")),
        "{told:?}"
    );
    assert!(!trace.exists());
}
