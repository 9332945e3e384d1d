//! A safe wrapper of the part of llama.cpp that a reference run needs.

mod backend;
mod context;
mod gpu;
mod model;
mod sampler;

pub use backend::version;
pub(crate) use backend::{error_log, forget_log, start};
pub(crate) use context::EvalCallback;
pub use context::{Context, ContextOptions, Entry, FlashAttention, KvType};
pub use gpu::{Gpu, gpu, prefer_exact_gpu};
pub(crate) use gpu::{fusion_is_on, products};
pub use model::{LoadOptions, Model};
pub(crate) use model::{c_string, check_magic};
pub use sampler::Sampler;
