//! The functions of ggml that read a tensor, by the names of its headers without `ggml_`.

use std::ffi::{CStr, c_char, c_int, c_void};

/// `ggml_get_name` and `ggml_op_desc`.
pub(crate) type TextOfTensor = unsafe extern "C" fn(tensor: *const c_void) -> *const c_char;
/// `ggml_type_name`.
pub(crate) type TextOfType = unsafe extern "C" fn(kind: c_int) -> *const c_char;
/// `ggml_nbytes`.
pub(crate) type SizeOfTensor = unsafe extern "C" fn(tensor: *const c_void) -> usize;
/// `ggml_backend_tensor_get`.
pub(crate) type TensorGet = unsafe extern "C" fn(
    tensor: *const c_void,
    data: *mut c_void,
    offset_bytes: usize,
    size_bytes: usize,
);
/// `ggml_backend_buffer_is_host`.
pub(crate) type BufferIsHost = unsafe extern "C" fn(buffer: *const c_void) -> bool;
/// `ggml_graph_n_nodes`.
pub(crate) type CountOfGraph = unsafe extern "C" fn(graph: *mut c_void) -> c_int;
/// `ggml_graph_node`.
pub(crate) type NodeOfGraph = unsafe extern "C" fn(graph: *mut c_void, index: c_int) -> *mut c_void;

/// The functions of one copy of ggml. `repr(C)`, because `orch_log_ggml.hpp` passes them in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accessors {
    pub(crate) get_name: TextOfTensor,
    /// The operation; for unary and gated operations which one, `SILU`, `SWIGLU`.
    pub(crate) op_desc: TextOfTensor,
    pub(crate) type_name: TextOfType,
    pub(crate) nbytes: SizeOfTensor,
    pub(crate) tensor_get: TensorGet,
    pub(crate) buffer_is_host: BufferIsHost,
}

/// The functions that list a graph's nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphAccessors {
    pub(crate) n_nodes: CountOfGraph,
    pub(crate) node: NodeOfGraph,
}

/// A symbol as a function of the given type.
///
/// Used only with types that the symbol has had in all of ggml's headers since the scheduler's callback exists, January
/// 2024.
macro_rules! function {
    ($symbol:expr, $function:ty) => {
        // SAFETY: the headers say so, see above.
        unsafe { std::mem::transmute::<*mut std::ffi::c_void, $function>($symbol) }
    };
}
pub(crate) use function;

impl Accessors {
    /// `None` when one is missing.
    pub(crate) fn find(find: impl Fn(&CStr) -> Option<*mut c_void>) -> Option<Self> {
        Some(Self {
            get_name: function!(find(c"ggml_get_name")?, TextOfTensor),
            op_desc: function!(find(c"ggml_op_desc")?, TextOfTensor),
            type_name: function!(find(c"ggml_type_name")?, TextOfType),
            nbytes: function!(find(c"ggml_nbytes")?, SizeOfTensor),
            tensor_get: function!(find(c"ggml_backend_tensor_get")?, TensorGet),
            buffer_is_host: function!(find(c"ggml_backend_buffer_is_host")?, BufferIsHost),
        })
    }
}

impl GraphAccessors {
    /// `None` before October 2024.
    pub(crate) fn find(find: impl Fn(&CStr) -> Option<*mut c_void>) -> Option<Self> {
        Some(Self {
            n_nodes: function!(find(c"ggml_graph_n_nodes")?, CountOfGraph),
            node: function!(find(c"ggml_graph_node")?, NodeOfGraph),
        })
    }
}
