//! The list of a graph's nodes.

use std::ffi::{c_int, c_void};

use crate::accessors::GraphAccessors;

/// The nodes of `graph`, in the order in which they are computed.
///
/// # Safety
///
/// `graph` is a live graph of the copy of ggml that `accessors` come from.
pub(crate) unsafe fn nodes(
    graph: *mut c_void,
    accessors: Option<GraphAccessors>,
) -> Vec<*mut c_void> {
    match accessors {
        Some(accessors) => {
            // SAFETY: the functions of this copy, and indices below its count.
            unsafe {
                let count = (accessors.n_nodes)(graph);
                (0..count)
                    .map(|index| (accessors.node)(graph, index))
                    .collect()
            }
        }
        // SAFETY: as the caller says; without these functions the graph is an early one.
        None => unsafe { early_nodes(graph) },
    }
}

/// Nodes of a graph before there were functions for them, January to October 2024.
///
/// # Source
///
/// `ggml.h`, `struct ggml_cgraph`.
unsafe fn early_nodes(graph: *mut c_void) -> Vec<*mut c_void> {
    #[repr(C)]
    struct Graph {
        size: c_int,
        n_nodes: c_int,
        n_leafs: c_int,
        nodes: *const *mut c_void,
    }
    // SAFETY: the first fields of the struct in all versions without the functions.
    let graph = unsafe { graph.cast::<Graph>().read() };
    let plausible = graph.n_leafs >= 0 && graph.n_nodes <= graph.size && !graph.nodes.is_null();
    match usize::try_from(graph.n_nodes) {
        // SAFETY: that many pointers lie there.
        Ok(count) if plausible => unsafe {
            std::slice::from_raw_parts(graph.nodes, count).to_vec()
        },
        _ => Vec::new(),
    }
}
