//! What capturing costs: the same tokens with and without it, turn by turn in one process.

use std::cell::RefCell;
use std::path::Path;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use llama_cpp_sys_2 as sys;
use orch_log::{Recorder, Settings};

use crate::Error;
use crate::capture::{Pass, Rows, Session, SessionOptions, linked::LinkedNode};
use crate::llama::{Context, ContextOptions, EvalCallback, LoadOptions, Model, Sampler};
use crate::run::{Watcher, heads};

/// How llama.cpp is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No callback.
    Plain,
    /// A callback that asks for the same nodes and does nothing with them: what llama.cpp takes for stopping.
    Stopped,
    /// Every canonical checkpoint is logged.
    Captured,
}

impl Condition {
    /// All, from the cheapest on.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Stopped, Self::Captured];
}

/// Times of one token after the other; all conditions computed the same tokens.
#[derive(Clone, Debug)]
pub struct Overhead {
    /// Wall time of each token, by [`Condition`].
    pub wall: [Vec<Duration>; 3],
    /// Processor time of each token, by [`Condition`].
    pub cpu: [Vec<Duration>; 3],
    /// Records written in all.
    pub records: u64,
}

impl Overhead {
    /// Median of a condition's times.
    pub fn median(times: &[Duration]) -> Duration {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// Median over the tokens of how much longer a token takes than its plain twin, as a fraction.
    pub fn above_plain(times: &[Vec<Duration>; 3], condition: Condition) -> f64 {
        let pairs = times[condition as usize].iter().zip(&times[0]);
        let mut ratios: Vec<f64> = pairs
            .map(|(with, plain)| with.as_secs_f64() / plain.as_secs_f64() - 1.0)
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Decodes `count` tokens after `prompt`, each of them once in every condition, in turns that begin with another condition
/// at each token, so that whatever else the machine does falls on all of them alike. One thread. The capture goes to `log`.
///
/// # Errors
///
/// The model cannot be loaded, or the trace not be opened.
pub fn measure(path: &Path, prompt: &str, count: usize, log: Settings) -> Result<Overhead, Error> {
    let model = Model::load(path, LoadOptions::default())?;
    let prompt = model.tokenize(prompt)?;
    let trace = log.path.clone();
    let recorder = Recorder::create(log).map_err(Error::io("write trace", &trace))?;
    let options = ContextOptions {
        n_ctx: prompt.len() + count + 1,
        n_ubatch: prompt.len().max(1),
        n_seq: 1,
        threads: 1,
        kv_type: Default::default(),
        flash_attn: Default::default(),
    };
    let session_options = SessionOptions {
        heads: heads(&model),
        all: false,
    };
    let session = || {
        Rc::new(RefCell::new(Session::new(
            &recorder,
            session_options.clone(),
        )))
    };
    let (captured, asked) = (session(), session());
    let cancel = AtomicBool::new(false);
    let callbacks: [Option<Box<dyn EvalCallback>>; 3] = [
        None,
        Some(Box::new(Stopper(Watcher(Rc::clone(&asked))))),
        Some(Box::new(Watcher(Rc::clone(&captured)))),
    ];
    let mut contexts = Vec::new();
    for callback in callbacks {
        contexts.push(Context::with_callback(&model, &options, &cancel, callback)?);
    }

    let mut times = Overhead {
        wall: Default::default(),
        cpu: Default::default(),
        records: 0,
    };
    let mut greedy = Sampler::new(0.0, 0);
    let mut batch = prompt;
    let mut position = 0;
    for step in 0..=count {
        let mut pick = None;
        for turn in 0..contexts.len() {
            let condition = (step + turn) % contexts.len();
            let (wall, cpu) = (Instant::now(), processor_time());
            let pass = || Pass {
                step: step as u64,
                tokens: batch.clone(),
                rows: Rows::neighbours(position as i64, batch.len(), 0),
            };
            match Condition::ALL[condition] {
                Condition::Plain => {}
                Condition::Stopped => asked.borrow_mut().begin_open(),
                Condition::Captured => captured.borrow_mut().begin(pass()),
            }
            contexts[condition].decode(&batch, position)?;
            captured.borrow_mut().end();
            // The prompt is no token like the others.
            if step > 0 {
                times.wall[condition].push(wall.elapsed());
                times.cpu[condition].push(processor_time().saturating_sub(cpu));
            }
            pick = contexts[condition]
                .last_logits()
                .and_then(|logits| greedy.pick(logits))
                .or(pick);
        }
        position += batch.len();
        batch = Vec::from_iter(pick);
    }
    times.records = captured.borrow().tally().records;
    Ok(times)
}

/// Asks for what a capture asks for, and drops it.
struct Stopper<'r>(Watcher<'r>);

impl EvalCallback for Stopper<'_> {
    fn node(&mut self, tensor: NonNull<sys::ggml_tensor>, ask: bool) -> bool {
        // SAFETY: the scheduler's tensors are valid for the length of the callback.
        !ask || self
            .0
            .0
            .borrow_mut()
            .wants(&unsafe { LinkedNode::new(tensor) })
    }
}

/// User and system time of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on Linux, and the result is plain data.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
