//! The passes of one model on their way into a trace.

use std::sync::Arc;

use ggml_callback::{Heads, Inputs, Node, Pass, Rows, Session, SessionOptions, places};
use orch_log::Recorder;
use orch_log::format::ModelInfo;

use crate::asked::Asked;
use crate::describe;
use crate::files::{self, Begun};
use crate::sequences::Sequences;
use crate::status::{Kind, tell};

/// A pass of at most this many tokens, after which everything starts anew, was only there to warm up or to probe:
/// llama.cpp's tools feed one or two special tokens and clear the cache.
const MAX_WARM_UP_TOKENS: usize = 2;

/// What has been captured of the current run.
#[derive(Debug, Default)]
struct Current {
    sequences: Sequences,
    passes: u64,
    tokens: Vec<i64>,
    cells_are_positions: bool,
}

/// The capture of one model in this process.
pub(crate) struct Trace {
    asked: &'static Asked,
    /// Which process opened the recorder.
    pid: u32,
    recorder: Arc<Recorder>,
    /// Whether everything in the trace is ours.
    is_ours: bool,
    session: Session<Arc<Recorder>>,
    current: Current,
    /// What the running pass is fed with, as far as it is known.
    inputs: Inputs,
    /// Whether the session knows it too.
    placed: bool,
    told_outputs: bool,
    /// The node that was asked about last, if its numbers are wanted.
    wanted: Option<usize>,
    model: ModelInfo,
    /// False after a new run began: another model may have come to the place of the first.
    model_is_known: bool,
}

impl Trace {
    /// Begins a trace.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub(crate) fn begin(asked: &'static Asked, model: ModelInfo) -> std::io::Result<Self> {
        let Begun { recorder, is_new } = files::begin(asked)?;
        let recorder = Arc::new(recorder);
        tell(Kind::Trace, recorder.path());
        let options = SessionOptions {
            heads: Heads::default(),
            all: asked.all,
        };
        Ok(Self {
            asked,
            pid: std::process::id(),
            session: Session::new(Arc::clone(&recorder), options),
            recorder,
            is_ours: is_new,
            current: Current {
                cells_are_positions: true,
                ..Current::default()
            },
            inputs: Inputs::default(),
            placed: false,
            told_outputs: false,
            wanted: None,
            model,
            model_is_known: true,
        })
    }

    /// Whether [`set_model`](Self::set_model) has something to say.
    pub(crate) fn model_is_known(&self) -> bool {
        self.model_is_known
    }

    /// Which model the run is of.
    pub(crate) fn set_model(&mut self, model: ModelInfo) {
        self.model = model;
        self.model_is_known = true;
    }

    /// A pass begins. `heads` is the shape of its attention.
    pub(crate) fn begin_pass(&mut self, heads: Option<Heads>) {
        if let Some(heads) = heads {
            self.session.set_heads(heads);
        }
        self.session.begin_open();
        self.inputs = Inputs::default();
        self.placed = false;
        self.told_outputs = false;
        if self.pid != std::process::id() {
            // A fork: the trace is the parent's.
            self.pid = std::process::id();
            self.next_run();
        }
    }

    /// Whether the numbers of `node`, about to be computed, are wanted.
    pub(crate) fn ask<N: Node>(&mut self, node: &N) -> bool {
        self.wanted = None;
        if !node.is_computed() {
            return false;
        }
        let cells_known = self.inputs.cells.is_some();
        self.inputs.see(node);
        if !self.placed {
            self.try_to_place(node);
        }
        if self.placed {
            if !cells_known
                && let (Some(cells), Some(positions)) = (&self.inputs.cells, &self.inputs.positions)
            {
                self.current.cells_are_positions &= cells == positions;
            }
            if let Some(outputs) = self
                .inputs
                .outputs
                .as_deref()
                .filter(|_| !self.told_outputs)
            {
                self.session.set_outputs(outputs);
                self.told_outputs = true;
            }
        }
        self.session
            .set_columns_are_positions(self.current.cells_are_positions);
        let wanted = self.session.wants(node);
        self.wanted = wanted.then(|| node.id());
        wanted
    }

    /// Tells the session where the pass belongs, once that is known.
    fn try_to_place<N: Node>(&mut self, node: &N) {
        if let Some(positions) = self.inputs.positions.clone() {
            self.place_at(&positions);
            return;
        }
        // In a model without position numbers they are counted, as late as possible.
        let is_late = places(node, Heads::default()).iter().any(|place| {
            place.point == "attn_scores" || place.layer.is_some_and(|layer| layer > 0)
        });
        if is_late {
            self.place_by_counting();
        }
    }

    fn place_by_counting(&mut self) {
        let n_tokens = self.inputs.tokens.as_ref().map_or(0, Vec::len) as i64;
        let first = self.current.sequences.next_position();
        self.place_at(&Vec::from_iter(first..first + n_tokens));
    }

    fn place_at(&mut self, positions: &[i64]) {
        let Some(tokens) = self.inputs.tokens.clone() else {
            return;
        };
        if self.current.sequences.restarts(positions) {
            self.start_anew();
        }
        let rows = Rows::new(&self.current.sequences.assign(positions), None);
        self.current
            .tokens
            .extend(tokens.iter().map(|id| i64::from(*id)));
        self.session.place(Pass {
            step: self.current.passes,
            tokens,
            rows,
        });
        self.current.passes += 1;
        self.placed = true;
    }

    /// The program starts again at position 0: what came before was a run of its own, or only a warm-up.
    fn start_anew(&mut self) {
        let warm_up = self.current.passes == 1 && self.current.tokens.len() <= MAX_WARM_UP_TOKENS;
        if warm_up && !self.asked.warm_up && self.is_ours {
            match files::begin_again(&self.recorder) {
                Ok(recorder) => self.continue_in(recorder),
                Err(error) => tell(
                    Kind::Problem,
                    format!("the warm-up could not be dropped from the trace: {error}"),
                ),
            }
        } else {
            self.next_run();
        }
    }

    fn next_run(&mut self) {
        self.finish();
        self.model_is_known = false;
        match files::begin(self.asked) {
            Ok(Begun { recorder, is_new }) => {
                tell(Kind::Trace, recorder.path());
                self.is_ours = is_new;
                self.continue_in(recorder);
            }
            Err(error) => tell(
                Kind::Problem,
                format!("a second run goes into the trace of the first: {error}"),
            ),
        }
    }

    fn continue_in(&mut self, recorder: Recorder) {
        self.recorder = Arc::new(recorder);
        self.session.continue_in(Arc::clone(&self.recorder));
        self.current = Current {
            cells_are_positions: true,
            ..Current::default()
        };
    }

    /// `node` is computed, because we or the program asked for it.
    pub(crate) fn take<N: Node>(&mut self, node: &N) {
        if self.wanted == Some(node.id()) {
            self.session.take(node);
        }
    }

    /// The pass is over.
    pub(crate) fn end_pass(&mut self) {
        if !self.placed {
            self.place_by_counting();
        }
        self.session.end();
        if self.current.passes == 1 {
            self.describe();
        }
    }

    /// Writes what is known of the run.
    pub(crate) fn describe(&self) {
        let cache_type = self.inputs.cache_type.as_ref();
        let run = describe::run(
            &self.model,
            &self.current.tokens,
            cache_type,
            self.session.tally(),
        );
        // Without it only later checks are weaker.
        let _ = self.recorder.describe_run(&run);
    }

    /// Ends a run: writes what is known of it, and tells what was seen and is not in the trace.
    pub(crate) fn finish(&self) {
        self.describe();
        for loss in describe::losses(self.session.tally(), &self.recorder.status()) {
            tell(Kind::Problem, loss);
        }
    }
}
