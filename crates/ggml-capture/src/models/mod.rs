//! Looking into GGUF files, reading their weights, converting them, and making tiny random ones.

mod blocks;
mod convert;
mod file;
mod gguf;
mod inspect;
mod product;
mod tiny;

pub use blocks::BlockParts;
pub use convert::{Weights, convert};
pub use file::{ModelFile, TensorEntry};
pub use inspect::{Inspection, TensorType, inspect};
pub use tiny::{Architecture, TinyOptions, tiny};

use std::path::{Path, PathBuf};

use crate::Error;

/// Lets `write` write a file beside `output`, and gives it its name only when it is whole.
fn write_whole(output: &Path, write: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let mut name = output.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(name);
    // Before the work: a folder that is missing or read-only is told with its name and at once.
    std::fs::File::create(&partial).map_err(Error::io("write model", output))?;
    let outcome = write(&partial)
        .and_then(|()| std::fs::rename(&partial, output).map_err(Error::io("write model", output)));
    if outcome.is_err() {
        // Nothing can be done about a file that cannot be removed either.
        let _ = std::fs::remove_file(&partial);
    }
    outcome
}
