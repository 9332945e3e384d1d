//! Where all elements of a tensor are.

use super::Dtype;

/// A byte range of a payload file that lies beside the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadRef {
    /// Bare file name, no folder.
    pub file: String,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub nbytes: u64,
    /// Storage type of the payload's elements; the record's own type may be a quantised one.
    pub dtype: Dtype,
}
