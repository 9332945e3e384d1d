//! The whole job: a model, a prompt, a trace.

mod config;
mod describe;
mod plan;

pub use config::{Config, Progress, Summary, Timings};

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use llama_cpp_sys_2 as sys;
use orch_log::Recorder;

use crate::Error;
use crate::capture::{Heads, Pass, Rows, Session, SessionOptions, linked::LinkedNode};
use crate::llama::{self, Context, ContextOptions, LoadOptions, Model, Sampler};
use describe::{describe, sha256};
use plan::Plan;

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

    let mut course = Course::default();
    let outcome = generate(
        config,
        &plan,
        &mut context,
        &session,
        &mut course,
        &mut report,
    );
    drop(context);

    let prompt = config
        .prompt
        .clone()
        .unwrap_or_else(|| model.text(&plan.prompt));
    let tally = session.borrow().tally().clone();
    let description = describe(
        config,
        &model,
        sha256,
        &prompt,
        &course.tokens,
        &options,
        &tally,
    );
    recorder
        .describe_run(&description)
        .map_err(Error::io("write the run file of", &config.log.path))?;
    // Only now: a run that was stopped is described too.
    outcome?;
    let continuation = course.tokens.split_off(plan.prompt.len());
    timings.prefill = course.prefill;
    timings.decode = course.decode;
    Ok(Summary {
        prompt,
        text: model.text(&continuation),
        prompt_tokens: plan.prompt,
        continuation,
        passes: course.picks.len(),
        picks: course.picks,
        tally,
        timings,
    })
}

/// How far a generation came.
#[derive(Default)]
struct Course {
    /// What was fed, and in the end the token that would be fed next.
    tokens: Vec<i32>,
    picks: Vec<i32>,
    prefill: Duration,
    decode: Duration,
}

/// All forward passes.
fn generate(
    config: &Config,
    plan: &Plan,
    context: &mut Context<'_>,
    session: &RefCell<Session<&Recorder>>,
    course: &mut Course,
    report: &mut dyn FnMut(Progress) -> bool,
) -> Result<(), Error> {
    let mut sampler = Sampler::new(config.temperature, config.seed);
    let total = plan.prompt.len() + plan.picks.saturating_sub(1);
    let mut forced = plan.forced.clone();
    let mut batch = plan.prompt.clone();
    let mut position = 0;
    loop {
        let started = Instant::now();
        session.borrow_mut().begin(Pass {
            step: course.picks.len() as u64,
            tokens: batch.clone(),
            rows: Rows::neighbours(i64::try_from(position).unwrap_or(i64::MAX), batch.len(), 0),
        });
        let decoded = context.decode(&batch, position);
        session.borrow_mut().end();
        decoded?;
        let time = if course.picks.is_empty() {
            &mut course.prefill
        } else {
            &mut course.decode
        };
        *time += started.elapsed();
        position += batch.len();
        course.tokens.extend_from_slice(&batch);
        if !report(Progress::Decoded {
            done: position,
            total,
        }) {
            return Err(Error::Cancelled);
        }

        let logits = context.last_logits().unwrap_or_default();
        let pick = sampler.pick(logits).ok_or_else(|| Error::Model {
            path: config.model.clone(),
            message: format!(
                "all {} logits at position {} are NaN",
                logits.len(),
                position - 1
            ),
        })?;
        course.picks.push(pick);
        let next = forced.pop_front();
        // An end token does not end the run: what follows is as good a function to compare.
        if course.picks.len() >= plan.picks {
            course.tokens.push(next.unwrap_or(pick));
            return Ok(());
        }
        batch = vec![next.unwrap_or(pick)];
    }
}

/// The eval callback's side of a session.
struct Watcher<'r>(Rc<RefCell<Session<&'r Recorder>>>);

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
