//! The model of the two runs, for every command that judges them.

use clap::Args;
use std::path::Path;
#[cfg(feature = "llama")]
use std::path::PathBuf;

/// A model file, where this program can read one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModelFile {
    /// The model, a GGUF file: operations are computed anew from the candidate's own inputs, without the noise of these
    #[cfg(feature = "llama")]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
}

impl ModelFile {
    /// Where it is, if it was given.
    pub(crate) fn path(&self) -> Option<&Path> {
        #[cfg(feature = "llama")]
        return self.model.as_deref();
        #[cfg(not(feature = "llama"))]
        return None;
    }
}
