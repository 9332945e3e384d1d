//! The whole job: a model, a prompt, a trace.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use llama_cpp_sys_2 as sys;
use orch_log::forced::Forced;
use orch_log::format::{ModelInfo, Run};
use orch_log::{Recorder, Settings};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::capture::{Heads, Pass, Session, SessionOptions, Tally, linked::LinkedNode};
use crate::llama::{
    self, Context, ContextOptions, FlashAttention, KvType, LoadOptions, Model, Sampler,
};

/// What to run and what to keep of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// A GGUF file.
    pub model: PathBuf,
    /// Text to continue; not needed with a forced trace, which has its own.
    pub prompt: Option<String>,
    /// Tokens to pick; by default 16, or what the forced tokens ask for.
    pub n_predict: Option<usize>,
    /// Where and how to log: path, team, detail, filter, …
    pub log: Settings,
    /// Also log nodes without a canonical name.
    pub all: bool,
    /// Storage type of the KV cache.
    pub kv_type: KvType,
    /// Fused attention.
    pub flash_attn: FlashAttention,
    /// Threads that compute.
    pub threads: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// For temperatures above 0.
    pub seed: u64,
    /// Tokens to feed whatever the model picks.
    pub forced: Option<Forced>,
}

/// How far a run is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// Reading the file for its SHA-256.
    Hashing {
        /// Fraction, 0 to 1.
        fraction: f32,
    },
    /// Loading the weights.
    Loading {
        /// Fraction, 0 to 1.
        fraction: f32,
    },
    /// A forward pass is over.
    Decoded {
        /// Tokens fed so far.
        done: usize,
        /// Tokens to feed in all.
        total: usize,
    },
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// SHA-256 of the model file.
    pub hash: Duration,
    /// Loading the model.
    pub load: Duration,
    /// The prompt's pass, capture included.
    pub prefill: Duration,
    /// All later passes, capture included.
    pub decode: Duration,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Ids of the prompt.
    pub prompt_tokens: Vec<i32>,
    /// The prompt as text.
    pub prompt: String,
    /// Ids that followed the prompt: forced or picked, and the last pass's pick.
    pub continuation: Vec<i32>,
    /// The continuation as text.
    pub text: String,
    /// What each pass would have picked by itself.
    pub picks: Vec<i32>,
    /// Forward passes.
    pub passes: usize,
    /// What was captured.
    pub tally: Tally,
    /// Where the time went.
    pub timings: Timings,
}

/// Tokens picked when nothing else is said.
const DEFAULT_PICKS: usize = 16;

/// Runs llama.cpp on a prompt and logs its forward passes.
///
/// `cancel` stops the run from another thread; the trace then holds all passes up to there.
///
/// # Errors
///
/// The model, the prompt or the forced tokens cannot be used, or the trace cannot be opened. A trace that
/// cannot be written later does not end the run: [`Summary::tally`] counts what was lost.
pub fn run(
    config: &Config,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Summary, Error> {
    let mut timings = Timings::default();
    let mut report = |event: Progress| {
        progress(&event);
        !cancel.load(Relaxed)
    };

    let started = Instant::now();
    let model = {
        let mut loading = |fraction| report(Progress::Loading { fraction });
        Model::load(
            &config.model,
            LoadOptions {
                progress: Some(&mut loading),
                ..LoadOptions::default()
            },
        )?
    };
    timings.load = started.elapsed();
    let started = Instant::now();
    let sha256 = sha256(&config.model, &mut |fraction| {
        report(Progress::Hashing { fraction })
    })?;
    timings.hash = started.elapsed();

    let plan = Plan::new(&model, config)?;
    // Not before everything else is known to be usable: it empties an older trace of that name.
    let recorder =
        Recorder::create(config.log.clone()).map_err(Error::io("write trace", &config.log.path))?;
    let options = ContextOptions {
        n_ctx: plan.prompt.len() + plan.picks,
        n_ubatch: plan.prompt.len(),
        threads: config.threads,
        kv_type: config.kv_type,
        flash_attn: config.flash_attn,
    };
    let heads = heads(&model);
    let session = Rc::new(RefCell::new(Session::new(
        &recorder,
        SessionOptions {
            heads,
            all: config.all,
        },
    )));
    let mut context = Context::with_callback(
        &model,
        &options,
        cancel,
        Some(Box::new(Watcher(Rc::clone(&session)))),
    )?;

    let mut sampler = Sampler::new(config.temperature, config.seed);
    let total = plan.prompt.len() + plan.picks.saturating_sub(1);
    let (mut fed, mut picks, mut position) = (Vec::new(), Vec::new(), 0);
    let mut batch = plan.prompt.clone();
    let mut forced = plan.forced.clone();
    let started = Instant::now();
    loop {
        let step = picks.len() as u64;
        session.borrow_mut().begin(Pass {
            step,
            tokens: batch.clone(),
            first_position: i64::try_from(position).unwrap_or(i64::MAX),
            seq: 0,
        });
        let decoded = context.decode(&batch, position);
        session.borrow_mut().end();
        decoded?;
        if step == 0 {
            timings.prefill = started.elapsed();
        }
        position += batch.len();
        fed.extend_from_slice(&batch);
        report(Progress::Decoded {
            done: position,
            total,
        });

        let logits = context.last_logits().unwrap_or_default();
        let pick = sampler.pick(logits).ok_or_else(|| Error::Model {
            path: config.model.clone(),
            message: format!(
                "all {} logits at position {} are NaN",
                logits.len(),
                position - 1
            ),
        })?;
        picks.push(pick);
        let next = forced.pop_front();
        if picks.len() >= plan.picks || (next.is_none() && model.is_end(pick)) {
            fed.push(next.unwrap_or(pick));
            break;
        }
        batch = vec![next.unwrap_or(pick)];
    }
    timings.decode = started.elapsed() - timings.prefill;
    drop(context);

    let prompt = config
        .prompt
        .clone()
        .unwrap_or_else(|| model.text(&plan.prompt));
    let tally = session.borrow().tally().clone();
    let description = describe(config, &model, sha256, &prompt, &fed, &tally);
    recorder
        .describe_run(&description)
        .map_err(Error::io("write the run file of", &config.log.path))?;
    let continuation = fed.split_off(plan.prompt.len());
    Ok(Summary {
        prompt,
        text: model.text(&continuation),
        prompt_tokens: plan.prompt,
        continuation,
        passes: picks.len(),
        picks,
        tally,
        timings,
    })
}

/// What is fed.
struct Plan {
    prompt: Vec<i32>,
    forced: VecDeque<i32>,
    picks: usize,
}

impl Plan {
    fn new(model: &Model, config: &Config) -> Result<Self, Error> {
        let ids = |tokens: &[u32]| {
            tokens
                .iter()
                .map(|id| i32::try_from(*id).unwrap_or(i32::MAX))
                .collect()
        };
        let (prompt, forced): (Vec<i32>, VecDeque<i32>) = match (&config.forced, &config.prompt) {
            (Some(trace @ Forced::Trace { prompt, .. }), _) => {
                let tokens = trace.tokens();
                let (prompt, rest) = tokens.split_at(*prompt);
                (ids(prompt), Vec::from_iter(ids(rest)).into())
            }
            (Some(Forced::List(list)), Some(prompt)) => {
                let list: Vec<i32> = ids(list);
                (model.tokenize(prompt)?, list.into())
            }
            (None, Some(prompt)) => (model.tokenize(prompt)?, VecDeque::new()),
            (Some(Forced::List(_)), None) => {
                return Err(Error::Argument(
                    "a list of forced tokens continues a prompt: give one, or force a trace, which has its own".to_owned(),
                ));
            }
            (None, None) => return Err(Error::Argument("there is no prompt".to_owned())),
        };
        if prompt.is_empty() {
            return Err(Error::Argument(
                "the prompt has no tokens; give at least one".to_owned(),
            ));
        }
        let default = if config.forced.is_some() {
            forced.len() + 1
        } else {
            DEFAULT_PICKS
        };
        Ok(Self {
            prompt,
            forced,
            picks: config.n_predict.unwrap_or(default).max(1),
        })
    }
}

/// The eval callback's side of a session.
struct Watcher<'r>(Rc<RefCell<Session<'r>>>);

impl llama::EvalCallback for Watcher<'_> {
    fn node(&mut self, tensor: NonNull<sys::ggml_tensor>, ask: bool) -> bool {
        // SAFETY: the scheduler's tensors are valid for the length of the callback.
        let node = unsafe { LinkedNode::new(tensor) };
        let mut session = self.0.borrow_mut();
        if ask {
            return session.wants(&node);
        }
        session.take(&node);
        true
    }
}

fn heads(model: &Model) -> Heads {
    let length = |key: &str| {
        model
            .metadata(&format!("{}.attention.{key}", model.architecture()))
            .and_then(|text| text.parse().ok())
    };
    let head_dim = model.head_dim();
    Heads {
        query: model.n_head(),
        key_value: model.n_head_kv(),
        head_dim,
        value_dim: length("value_length").unwrap_or(head_dim),
    }
}

fn describe(
    config: &Config,
    model: &Model,
    sha256: String,
    prompt: &str,
    tokens: &[i32],
    tally: &Tally,
) -> Run {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    let mut settings = vec![
        setting("engine", "llama.cpp".to_owned()),
        setting("kv_type", config.kv_type.name().to_owned()),
        setting("flash_attn", config.flash_attn.name().to_owned()),
        setting("temperature", config.temperature.to_string()),
        setting("seed", config.seed.to_string()),
        setting("forced", config.forced.is_some().to_string()),
        setting("n_ubatch", tokens.len().to_string()),
    ];
    if !tally.hidden_by_fusion.is_empty() {
        let names: Vec<&str> = tally.hidden_by_fusion.iter().map(String::as_str).collect();
        settings.push(setting("hidden_by_fusion", names.join(",")));
    }
    let path = std::path::absolute(&config.model).unwrap_or_else(|_| config.model.clone());
    Run {
        model: Some(ModelInfo {
            path: path.display().to_string(),
            sha256: Some(sha256),
            architecture: Some(model.architecture()),
            layers: Some(model.n_layer()),
            weights: model.weights(),
        }),
        prompt: Some(prompt.to_owned()),
        tokens: tokens.iter().map(|id| i64::from(*id)).collect(),
        device: Some("cpu".to_owned()),
        threads: Some(config.threads),
        settings,
        version: Some(format!("ggml {}", llama::version())),
    }
}

/// SHA-256 of a file, in lower-case hexadecimal. `progress` gets the fraction and says whether to go on.
fn sha256(path: &Path, progress: &mut dyn FnMut(f32) -> bool) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::io("read model", path))?;
    let length = file
        .metadata()
        .map_err(Error::io("read model", path))?
        .len()
        .max(1);
    let mut hash = Sha256::new();
    let mut block = vec![0u8; 1 << 20];
    let mut done = 0u64;
    loop {
        let n = file
            .read(&mut block)
            .map_err(Error::io("read model", path))?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        done += n as u64;
        if !progress(done as f32 / length as f32) {
            return Err(Error::Cancelled);
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
