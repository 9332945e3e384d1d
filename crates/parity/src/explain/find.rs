//! From traces and a place in them to a scene.

use super::outline::explain_outline;
use super::{Explanation, Known, Outcome, Outline, Scene, Tensors, explain};
use crate::recompute::Weights;
use crate::tensor::Dense;
use crate::trace::Index;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// One sequence of a trace's index. What cannot be read is as good as not there: the rules say what they found, and
/// the comparison has reported damage already.
pub struct Source<'i, 't> {
    index: &'i Index<'t>,
    seq: u64,
    /// Subtracted from positions that are asked for: the candidate may count from another origin.
    offset: i64,
    /// The other trace: of two shapes of one checkpoint the one with more axes says more.
    other: Option<(&'i Index<'t>, RefCell<Axes>)>,
}

/// By checkpoint, the axes of a row in the other trace.
type Axes = HashMap<String, Option<Vec<usize>>>;

impl<'i, 't> Source<'i, 't> {
    /// A sequence whose positions, with `offset` added, are those of the scene.
    pub fn new(index: &'i Index<'t>, seq: u64, offset: i64) -> Self {
        Self {
            index,
            seq,
            offset,
            other: None,
        }
    }

    /// The same, with heads and lanes apart where only the other trace has them so.
    pub fn shaped_like(mut self, other: &'i Index<'t>) -> Self {
        self.other = Some((other, RefCell::default()));
        self
    }

    /// The axes of the checkpoint's rows in the other trace.
    fn other_axes(&self, checkpoint: &str) -> Option<Vec<usize>> {
        let (other, known) = self.other.as_ref()?;
        if let Some(axes) = known.borrow().get(checkpoint) {
            return axes.clone();
        }
        let first = other.positions(checkpoint, self.seq).into_iter().next();
        let row = first.and_then(|pass| {
            let row = other.rows(checkpoint, self.seq, pass.start..pass.start + 1);
            row.ok().flatten()
        });
        let axes = row.map(|row| row.shape[1..].to_vec());
        known
            .borrow_mut()
            .insert(checkpoint.to_owned(), axes.clone());
        axes
    }

    fn own(&self, tokens: &Range<i64>) -> Range<i64> {
        tokens.start - self.offset..tokens.end - self.offset
    }
}

impl Tensors for Source<'_, '_> {
    fn names(&self) -> Vec<String> {
        self.index.names().map(str::to_owned).collect()
    }

    fn passes(&self, checkpoint: &str) -> Vec<Range<i64>> {
        let passes = self.index.positions(checkpoint, self.seq);
        passes
            .into_iter()
            .map(|pass| pass.start + self.offset..pass.end + self.offset)
            .collect()
    }

    fn rows(&self, checkpoint: &str, tokens: Range<i64>) -> Option<Dense> {
        let found = self.index.rows(checkpoint, self.seq, self.own(&tokens));
        let mut found = found.ok().flatten()?;
        let axes = self.other_axes(checkpoint);
        let fits = |axes: &Vec<usize>| {
            axes.len() >= found.shape.len() && axes.iter().product::<usize>() == found.row_len()
        };
        if let Some(axes) = axes.filter(fits) {
            found.shape = [&[found.shape[0]], axes.as_slice()].concat();
        }
        Some(found)
    }

    fn outline(&self, checkpoint: &str, pass: Range<i64>) -> Option<Outline> {
        let own = self.own(&pass);
        let mut pieces = self.index.pieces(checkpoint).iter();
        let piece = pieces.rfind(|piece| piece.seq == self.seq && piece.positions() == own)?;
        let located = self.index.trace().record_at(piece.offset_bytes).ok()?;
        let outline = Outline::of(&located.record)?;
        Some(Outline { pass, ..outline })
    }

    fn architecture(&self) -> Option<String> {
        let model = self.index.trace().run().info()?.model.as_ref()?;
        model.architecture.clone()
    }
}

/// The scene of one checkpoint in the pass of the reference that holds a position.
pub fn first_scene<'a>(known: Known<'a>, checkpoint: &str, position: i64) -> Option<Scene<'a>> {
    let passes = known.reference.passes(checkpoint);
    let pass = passes.into_iter().find(|pass| pass.contains(&position))?;
    Scene::new(known, checkpoint, pass)
}

/// Explains one checkpoint of two indexed traces, as far as what was captured of it allows; `None` where that is nothing.
pub fn explain_at(
    reference: &Source<'_, '_>,
    candidate: &Source<'_, '_>,
    model: Option<&dyn Weights>,
    checkpoint: &str,
    position: i64,
) -> Option<Explanation> {
    let known = Known {
        reference,
        candidate,
        model,
    };
    let Some(scene) = first_scene(known, checkpoint, position) else {
        return explain_outline(known, checkpoint, position);
    };
    let explained = explain(&scene);
    Some(upstream(&scene, &explained).unwrap_or(explained))
}

/// How many operations back a cause is looked for.
const STEPS_BACK: usize = 4;

/// What came in with the inputs, where that can be explained: a comparison may have read an input in another layout, in
/// which it agrees, and blame what is computed from it.
fn upstream(scene: &Scene<'_>, explained: &Explanation) -> Option<Explanation> {
    let mut blamed = (explained.outcome == Outcome::Inherited).then(|| scene.worst_operand())??;
    for _ in 0..STEPS_BACK {
        let before = Scene::new(scene.known, &blamed, scene.tokens.clone())?;
        let found = explain(&before);
        match found.outcome {
            Outcome::Found => return Some(found),
            Outcome::Inherited => blamed = before.worst_operand()?,
            _ => return None,
        }
    }
    None
}
