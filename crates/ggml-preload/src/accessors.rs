//! The functions of ggml that read a tensor, by the names of its headers without `ggml_`.

use std::ffi::{CStr, c_char, c_int, c_void};

/// The functions of one copy of ggml. `repr(C)`, because `orch_log_ggml.hpp` passes them in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accessors {
    pub(crate) get_name: unsafe extern "C" fn(tensor: *const c_void) -> *const c_char,
    /// The operation; for unary and gated operations which one, `SILU`, `SWIGLU`.
    pub(crate) op_desc: unsafe extern "C" fn(tensor: *const c_void) -> *const c_char,
    pub(crate) type_name: unsafe extern "C" fn(kind: c_int) -> *const c_char,
    pub(crate) nbytes: unsafe extern "C" fn(tensor: *const c_void) -> usize,
    /// `ggml_backend_tensor_get`.
    pub(crate) tensor_get: unsafe extern "C" fn(
        tensor: *const c_void,
        data: *mut c_void,
        offset_bytes: usize,
        size_bytes: usize,
    ),
}

/// The functions that list a graph's nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphAccessors {
    pub(crate) n_nodes: unsafe extern "C" fn(graph: *mut c_void) -> c_int,
    pub(crate) node: unsafe extern "C" fn(graph: *mut c_void, index: c_int) -> *mut c_void,
}

/// Casts a symbol to the function type that the place expects.
///
/// Used only with symbols whose type has been the same in all of ggml's headers since the scheduler's callback
/// exists, January 2024.
macro_rules! function {
    ($symbol:expr) => {
        // SAFETY: the headers say so, see above.
        unsafe { std::mem::transmute::<*mut std::ffi::c_void, _>($symbol) }
    };
}
pub(crate) use function;

impl Accessors {
    /// `None` when one is missing.
    pub(crate) fn find(find: impl Fn(&CStr) -> Option<*mut c_void>) -> Option<Self> {
        Some(Self {
            get_name: function!(find(c"ggml_get_name")?),
            op_desc: function!(find(c"ggml_op_desc")?),
            type_name: function!(find(c"ggml_type_name")?),
            nbytes: function!(find(c"ggml_nbytes")?),
            tensor_get: function!(find(c"ggml_backend_tensor_get")?),
        })
    }
}

impl GraphAccessors {
    /// `None` before October 2024.
    pub(crate) fn find(find: impl Fn(&CStr) -> Option<*mut c_void>) -> Option<Self> {
        Some(Self {
            n_nodes: function!(find(c"ggml_graph_n_nodes")?),
            node: function!(find(c"ggml_graph_node")?),
        })
    }
}
