//! The whole job: a model, a prompt, a trace.

mod config;
mod describe;
mod generate;
mod observer;
mod plan;

pub use config::{Beside, Config, Progress, Summary, Timings};
pub use observer::Observer;

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use llama_cpp_sys_2 as sys;
use orch_log::Recorder;

use crate::Error;
use crate::capture::{Heads, Session, SessionOptions, linked::LinkedNode};
use crate::llama::{self, Context, ContextOptions, LoadOptions, Model};
use describe::describe;
pub use describe::sha256;
use generate::Course;
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
                gpu_layers: config.gpu_layers,
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
        n_ctx: plan.fed() + 1,
        n_ubatch: plan.n_ubatch,
        n_seq: 1 + plan.beside.len(),
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

    let mut unwatched = (config.check_logits || model.gpu().is_some())
        .then(|| Context::new(&model, &options, cancel))
        .transpose()?;

    let mut course = Course::new(config, &plan);
    let contexts = (&mut context, unwatched.as_mut());
    let outcome = course.run(config, &plan, contexts, &session, &mut report);
    drop((context, unwatched));

    let prompt = config
        .prompt
        .clone()
        .unwrap_or_else(|| model.text(&plan.prompt));
    let tally = session.borrow().tally().clone();
    let description = describe(config, &model, sha256, &prompt, &course, &options, &tally);
    recorder
        .describe_run(&description)
        .map_err(Error::io("write the run file of", &config.log.path))?;
    // Only now: a run that was stopped is described too.
    outcome?;
    timings.prefill = course.prefill;
    timings.decode = course.decode;
    let passes = course.batches.len();
    let products = (model.gpu().is_some()).then(|| llama::products(course.batches));
    let observer = course.observer;
    let mut sequences = course.sequences.into_iter();
    let first = sequences.next().expect("there is always the first prompt");
    let beside = sequences.zip(plan.beside).map(|(sequence, prompt)| {
        let continuation = sequence.tokens[prompt.len()..].to_vec();
        Beside {
            text: model.text(&continuation),
            prompt_tokens: prompt,
            continuation,
        }
    });
    let continuation = first.tokens[plan.prompt.len()..].to_vec();
    Ok(Summary {
        prompt,
        text: model.text(&continuation),
        prompt_tokens: plan.prompt,
        continuation,
        beside: beside.collect(),
        passes,
        observer,
        device: device(&model),
        products,
        picks: first.picks,
        tally,
        timings,
    })
}

/// The eval callback's side of a session.
pub(crate) struct Watcher<'r>(pub(crate) Rc<RefCell<Session<&'r Recorder>>>);

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

/// What computes, for people.
fn device(model: &Model) -> String {
    model.gpu().map_or_else(
        || "cpu".to_owned(),
        |gpu| {
            format!(
                "{}, {} of {} layers",
                gpu.label(),
                model.gpu_layers(),
                model.n_layer() + 1
            )
        },
    )
}

/// The shape of the model's attention.
pub(crate) fn heads(model: &Model) -> Heads {
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
