//! `worker-orcd generate`.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use orch_log::forced::{Forced, parse_ids};
use worker_orcd::generate::{Continuation, Script, generate};
use worker_orcd::gguf::GgufFile;
use worker_orcd::model::{KvType, MatMul, Model};
use worker_orcd::ops::Engine;
use worker_orcd::place::{DeviceName, Place};
use worker_orcd::tokenizer::Tokenizer;
use worker_orcd::{Error, describe};

use super::args::{DtypeArg, Generate};
use super::logits::LogitsFile;
use super::progress::bar;
use super::{Failure, warn};

/// Tokens picked when neither `-n` nor forced tokens say how many.
const DEFAULT_PICKS: usize = 16;

pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    set_threads(args.threads);
    if args.fault.is_some() && args.dtype != DtypeArg::F32 {
        return Err("mistakes are planted in f32 only: --fault needs --dtype f32".into());
    }
    if args.graph && args.device == DeviceName::Cpu {
        return Err("--graph needs --device cuda".into());
    }
    let place = Place::open(args.device, args.dtype.into())?;
    let mut file = GgufFile::open(&args.model)?;
    let forced = args.force_tokens.as_deref().map(Forced::read).transpose()?;
    let tokenizer = Tokenizer::from_metadata(file.metadata());
    let prompt = prompt(args, &tokenizer)?;
    let script = Script::new(prompt.clone(), forced, args.picks, DEFAULT_PICKS)?;
    warn_about_prompt(prompt.as_deref(), &script);
    let (engine, fault) = engine(args, &mut file)?;

    let started = Instant::now();
    // A second reading of the whole file, beside the loading rather than after it.
    let digest = describe::logging().then(|| thread::spawn(file.sha256()));
    let matmul = MatMul::from(args.matmul);
    let loading = bar("loading", 0);
    let model = Model::load(&mut file, matmul, place, engine, &mut |done, of| {
        loading.set_length(of as u64);
        loading.set_position(done as u64);
    })?;
    loading.finish_and_clear();
    let loaded = started.elapsed();

    let kv_type = KvType::from(args.kv_type);
    let run = describe::Description {
        file: &file,
        sha256: digest.and_then(|digest| digest.join().ok()).transpose()?,
        model: &model,
        prompt: args.prompt.as_deref(),
        device: args.device,
        matmul,
        kv_type,
        forced: args.force_tokens.is_some(),
        fault: fault.as_deref(),
    };
    // Once now, for the reader of a run that does not reach its end, and once with all picks.
    if let Err(error) = describe::describe(&run, &script.tokens()) {
        warn(error);
    }
    let described = started.elapsed() - loaded;

    let generating = bar("generating", script.positions());
    let mut times = vec![Instant::now()];
    let mut logits_file = args.logits.as_deref().map(LogitsFile::create).transpose()?;
    let continuation = generate(
        &model,
        &script,
        kv_type,
        args.graph,
        &mut |position, logits| {
            times.push(Instant::now());
            generating.set_position(position as u64);
            logits_file.as_mut().map_or(Ok(()), |file| file.add(logits))
        },
    )?;
    generating.finish_and_clear();
    let mut tokens = script.tokens();
    tokens.truncate(script.prompt);
    tokens.extend(continuation.tokens());
    // The first description already told of what stands in the way of this one.
    let _ = describe::describe(&run, &tokens);

    print(&continuation, tokenizer.as_ref().ok())?;
    if args.timings {
        report_times(loaded, described, &times);
    }
    if let Some(loss) = describe::losses() {
        warn(loss);
    }
    Ok(())
}

/// candle takes the number of its threads from the environment, once, when it first computes.
fn set_threads(threads: Option<u16>) {
    if let Some(threads) = threads {
        // SAFETY: called at the start of the command, before anything has started a second thread.
        unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    }
}

fn prompt(
    args: &Generate,
    tokenizer: &Result<Tokenizer, Error>,
) -> Result<Option<Vec<u32>>, Failure> {
    if let Some(ids) = &args.prompt_tokens {
        return Ok(Some(
            parse_ids(ids).map_err(|problem| format!("--prompt-tokens {problem}"))?,
        ));
    }
    let Some(text) = &args.prompt else {
        return Ok(None);
    };
    match tokenizer {
        Ok(tokenizer) => Ok(Some(tokenizer.encode(text)?)),
        // A trace brings its own ids, and the prompt's text is only there to be written down.
        Err(_) if args.force_tokens.is_some() => Ok(None),
        Err(error) => Err(error.to_string().into()),
    }
}

/// A trace's prompt wins over the text; that they differ is worth knowing.
fn warn_about_prompt(own: Option<&[u32]>, script: &Script) {
    let forced = &script.tokens()[..script.prompt.min(script.tokens().len())];
    if let Some(own) = own.filter(|own| *own != forced) {
        warn(format_args!(
            "the forced tokens begin with another prompt than the given one ({} tokens instead of {}); \
             the forced one is used",
            forced.len(),
            own.len(),
        ));
    }
}

#[cfg(feature = "faults")]
fn engine(args: &Generate, file: &mut GgufFile) -> Result<(Engine, Option<String>), Failure> {
    use worker_orcd::faults::FaultSpec;

    let Some(text) = &args.fault else {
        return Ok((Engine::default(), None));
    };
    let spec = FaultSpec::parse(text, args.fault_layer.as_deref(), args.fault_token)?;
    Ok((Engine::new(&spec, file)?, Some(spec.describe())))
}

#[cfg(not(feature = "faults"))]
fn engine(args: &Generate, _file: &mut GgufFile) -> Result<(Engine, Option<String>), Failure> {
    match &args.fault {
        None => Ok((Engine::default(), None)),
        Some(name) => Err(format!("--fault {name}: {}", super::faults::NOT_BUILT).into()),
    }
}

/// The continuation; with forced tokens, also what the model would have picked, and where first it differs.
fn print(continuation: &Continuation, tokenizer: Option<&Tokenizer>) -> io::Result<()> {
    let text = |ids: &[u32]| match tokenizer {
        Some(tokenizer) => tokenizer.decode(ids),
        None => format!("{ids:?}"),
    };
    let mut out = io::stdout().lock();
    if continuation.forced.is_empty() {
        return writeln!(out, "{}", text(&continuation.own));
    }
    writeln!(out, "forced: {:?}", text(&continuation.forced))?;
    writeln!(out, "own:    {:?}", text(&continuation.own))?;
    let steps = continuation.forced.len();
    match continuation.first_difference() {
        None => writeln!(out, "own picks equal all {steps} forced tokens"),
        Some(step) => {
            let (forced, own) = (continuation.forced[step], continuation.own[step]);
            writeln!(
                out,
                "own picks differ first at step {step}: forced {forced} {:?}, own {own} {:?}",
                text(&[forced]),
                text(&[own]),
            )
        }
    }
}

fn report_times(loaded: Duration, described: Duration, times: &[Instant]) {
    let mut passes: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3)
        .collect();
    let prefill = if passes.is_empty() {
        0.0
    } else {
        passes.remove(0)
    };
    passes.sort_by(f64::total_cmp);
    let median = passes.get(passes.len() / 2).copied().unwrap_or(0.0);
    let _ = writeln!(
        io::stderr(),
        "loading {:.0} ms, description {:.0} ms, prefill {prefill:.1} ms, decode {median:.2} ms a token (median of {})",
        loaded.as_secs_f64() * 1e3,
        described.as_secs_f64() * 1e3,
        passes.len(),
    );
}
