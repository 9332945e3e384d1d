//! `parity capture`.

use crate::args::{Capture, CaptureCommand, CaptureLlama, ColorWhen};
use crate::failure::Failure;
use crate::{output, progress, terminal};
use ggml_capture::llama::{LoadOptions, Model, prefer_exact_gpu};
use ggml_capture::{Config, Progress, Summary};
use indicatif::ProgressBar;
use orch_log::forced::Forced;
use orch_log::{Filter, Settings};
use parity::exit_code;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the reference engine, or a program that is not ours.
pub(crate) fn run(capture: Capture, color: ColorWhen) -> Result<u8, Failure> {
    match capture.engine {
        Some(CaptureCommand::Llama(args)) => llama(&args, color),
        None => super::program::run(&capture.program, color),
    }
}

/// Runs llama.cpp; Ctrl-C ends it between two passes and leaves a trace that can be read.
fn llama(args: &CaptureLlama, color: ColorWhen) -> Result<u8, Failure> {
    let config = config(args)?;
    if args.gpu_layers > 0 {
        // SAFETY: this process has no other thread yet: the one that waits for Ctrl-C, and llama.cpp's, start later.
        unsafe { prefer_exact_gpu() };
    }
    if args.temp > 0.0 && config.forced.is_none() {
        note(
            color,
            &format!(
                "--temp {} picks at random: another engine will pick other tokens, and the two traces are not \
                 comparable unless it is fed with these (--force-tokens {})",
                args.temp,
                args.output.display()
            ),
        );
    }
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;

    let mut bars = Bars::default();
    let outcome = ggml_capture::run(&config, &cancel, &mut |event| bars.show(event));
    bars.clear();
    match outcome {
        Ok(summary) => {
            warn(color, &summary, args);
            warn_of_arithmetic(color, &summary);
            print(&summary, args)?;
            Ok(exit_code::AGREES)
        }
        Err(error) if error.is_cancelled() => {
            note(
                color,
                &format!(
                    "interrupted; `{}` holds what was captured until then",
                    args.output.display()
                ),
            );
            Ok(exit_code::INTERRUPTED)
        }
        Err(error) => Err(error.into()),
    }
}

fn config(args: &CaptureLlama) -> Result<Config, Failure> {
    let forced = args.force_tokens.as_deref();
    output::is_no_input(
        &args.output,
        forced.into_iter().chain([args.model.as_path()]),
    )?;
    let mut log = Settings::new(&args.output, "llama.cpp");
    log.detail = args.detail.into();
    log.values = args.values;
    log.filter = Filter::new(&args.checkpoint.join(","));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut prompts = prompts(args)?.into_iter();
    Ok(Config {
        model: args.model.clone(),
        prompt: prompts.next(),
        beside: prompts.collect(),
        n_ubatch: args.ubatch.map(|count| count as usize),
        n_predict: args.picks.map(|picks| picks as usize),
        log,
        all: args.all,
        kv_type: args.kv_type.into(),
        flash_attn: args.flash_attn.into(),
        threads: args.threads.map_or(cores, usize::from),
        gpu_layers: args.gpu_layers,
        check_logits: args.check_logits,
        temperature: args.temp,
        seed: args.seed,
        forced: args.force_tokens.as_deref().map(Forced::read).transpose()?,
    })
}

/// The texts to continue. The template of a chat model is in its metadata, which loads in no time.
fn prompts(args: &CaptureLlama) -> Result<Vec<String>, Failure> {
    if !args.chat {
        return Ok(args.prompt.clone());
    }
    let options = LoadOptions {
        vocab_only: true,
        ..LoadOptions::default()
    };
    let model = Model::load(&args.model, options)?;
    let messages = args.prompt.iter().map(|message| model.chat(message));
    Ok(messages.collect::<Result<_, _>>()?)
}

/// One bar after the other: loading, checksum, passes.
#[derive(Default)]
struct Bars {
    current: Option<(&'static str, ProgressBar)>,
}

impl Bars {
    /// Steps of a bar whose progress is a fraction.
    const FINE: u64 = 1000;

    fn show(&mut self, event: &Progress) {
        let fraction = |fraction: f32| (Self::FINE as f32 * fraction) as u64;
        match event {
            Progress::Loading { fraction: done } => self.at("loading", fraction(*done), Self::FINE),
            Progress::Hashing { fraction: done } => {
                self.at("checksum", fraction(*done), Self::FINE)
            }
            Progress::Decoded { done, total } => self.at("tokens", *done as u64, *total as u64),
            _ => {}
        }
    }

    fn at(&mut self, what: &'static str, done: u64, total: u64) {
        if self.current.as_ref().is_none_or(|(name, _)| *name != what) {
            self.clear();
            let bar = if total == Self::FINE {
                progress::percent(what, total)
            } else {
                progress::steps(what, total)
            };
            self.current = Some((what, bar));
        }
        if let Some((_, bar)) = &self.current {
            bar.set_position(done);
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

/// What the trace lacks.
fn warn(color: ColorWhen, summary: &Summary, args: &CaptureLlama) {
    let tally = &summary.tally;
    let list = |names: &std::collections::BTreeSet<String>| {
        let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        let more = if names.len() > 3 {
            format!(" and {} more", names.len() - 3)
        } else {
            String::new()
        };
        format!("{}{more}", shown.join(", "))
    };
    if tally.dropped > 0 {
        note(
            color,
            &format!(
                "{} records could not be written to `{}`: is the disk full?",
                tally.dropped,
                args.output.display()
            ),
        );
    }
    if !tally.hidden_by_fusion.is_empty() {
        note(
            color,
            &format!(
                "fused attention hides {}; --flash-attn off shows them",
                list(&tally.hidden_by_fusion)
            ),
        );
    }
    if !tally.misfits.is_empty() {
        note(
            color,
            &format!("not understood, and not logged: {}", list(&tally.misfits)),
        );
    }
}

/// What the arithmetic of a GPU, and watching it, did to the numbers.
fn warn_of_arithmetic(color: ColorWhen, summary: &Summary) {
    if let Some(observer) = summary.observer.filter(|observer| !observer.is_exact()) {
        note(
            color,
            &format!(
                "capturing changed what llama.cpp computes: {} of {} rows of logits differ from those of the same passes \
                 unwatched, by up to {:.1e}; the trace is marked as perturbed (GGML_CUDA_DISABLE_FUSION=1 prevents it)",
                observer.perturbed, observer.rows, observer.worst
            ),
        );
    }
    if summary.products == Some("tf32") {
        note(
            color,
            "products of 32-bit floats were computed in TF32, to 11 bits; batches of at most 3 tokens are not (--ubatch 3)",
        );
    }
}

pub(super) fn note(color: ColorWhen, text: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    // Without stderr there is nobody to tell.
    let _ = writeln!(terminal::stderr(color), "{yellow}note:{yellow:#} {text}");
}

fn print(summary: &Summary, args: &CaptureLlama) -> std::io::Result<()> {
    let ids = |tokens: &[i32]| {
        tokens
            .iter()
            .map(i32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "prompt        {:?}", summary.prompt)?;
    writeln!(out, "  tokens      {}", ids(&summary.prompt_tokens))?;
    writeln!(out, "continuation  {:?}", summary.text)?;
    writeln!(out, "  tokens      {}", ids(&summary.continuation))?;
    if args.force_tokens.is_some() {
        writeln!(out, "  own picks   {}", ids(&summary.picks))?;
    }
    for (seq, beside) in (1..).zip(&summary.beside) {
        writeln!(out, "sequence {seq}    {:?}", beside.text)?;
        writeln!(out, "  prompt      {}", ids(&beside.prompt_tokens))?;
        writeln!(out, "  tokens      {}", ids(&beside.continuation))?;
    }
    if summary.device != "cpu" {
        writeln!(out, "device        {}", summary.device)?;
    }
    if summary.observer.is_some_and(|observer| observer.is_exact()) {
        writeln!(
            out,
            "logits        the same to the bit as without capturing"
        )?;
    }
    writeln!(
        out,
        "trace         {}: {} records of {} checkpoints in {} passes",
        args.output.display(),
        summary.tally.records,
        summary.tally.checkpoints.len(),
        summary.passes
    )
}
