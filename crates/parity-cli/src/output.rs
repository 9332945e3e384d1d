//! Files that a command writes.

use crate::failure::Failure;
use std::path::Path;

/// Refuses an output that is one of the inputs: writing would destroy what is yet to be read.
///
/// # Errors
///
/// When `output` is there and is one of `inputs`, whatever it is called.
pub(crate) fn is_no_input<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let Ok(there) = output.canonicalize() else {
        return Ok(());
    };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == there) {
            return Err(Failure::message(format!(
                "`{}` is both an input and the output; name another file to write",
                output.display()
            )));
        }
    }
    Ok(())
}
