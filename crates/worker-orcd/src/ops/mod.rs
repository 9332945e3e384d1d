//! The operations that a forward pass is made of, on candle tensors.
//!
//! The model calls them through [`Operations`], whose provided methods are the engine's own
//! operations. That is the one place where a planted fault (feature `faults`) steps in: it overrides
//! the method in which a real engine would have made the mistake. Without the feature
//! [`Engine`] is [`Correct`], a type of no size, and every call is static.

mod activation;
mod attention;
mod linear;
mod norm;
mod operations;
mod rope;
mod site;

pub use activation::{activate, gelu};
#[cfg(feature = "faults")]
pub(crate) use activation::{each, gelu_tanh};
pub use attention::{causal_mask, context, scores, softmax, split};
pub use linear::{Linear, Matrix};
/// The steps of the norms, for those that take them wrongly.
#[cfg(feature = "faults")]
pub(crate) mod norm_parts {
    pub(crate) use super::norm::{centred, mean_square, scaled, weighted};
}

pub use norm::{Norm, layer_norm, norm, rms_norm};
pub use operations::{Correct, Operations};
pub use rope::{Rotation, rotate};
pub use site::{At, Branch, Heads, Projection, QueryOrKey, Slot, Which};

/// What the model computes with.
#[cfg(not(feature = "faults"))]
pub type Engine = Correct;

/// What the model computes with.
#[cfg(feature = "faults")]
pub type Engine = crate::faults::Planted;
