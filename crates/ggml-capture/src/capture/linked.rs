//! Nodes of the llama.cpp that this crate links.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use ggml_callback::Node;

/// A tensor that the scheduler passed to the eval callback, valid for the length of that call.
#[derive(Clone, Copy)]
pub(crate) struct LinkedNode(NonNull<sys::ggml_tensor>);

impl LinkedNode {
    /// # Safety
    ///
    /// `tensor` must stay valid for as long as the node is used, as must the tensors that it refers to.
    pub(crate) unsafe fn new(tensor: NonNull<sys::ggml_tensor>) -> Self {
        Self(tensor)
    }

    fn tensor(&self) -> &sys::ggml_tensor {
        // SAFETY: promised to `new`.
        unsafe { self.0.as_ref() }
    }

    fn follow(pointer: *mut sys::ggml_tensor) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }
}

/// Text of a string that ggml owns.
///
/// # Safety
///
/// `pointer` must be a NUL-terminated string that stays for `'t`.
unsafe fn text<'t>(pointer: *const c_char) -> &'t str {
    // SAFETY: promised by the caller.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    // ggml's names and its own strings are ASCII; one that a program cut inside a character has no meaning here.
    bytes.to_str().unwrap_or_default()
}

impl Node for LinkedNode {
    fn name(&self) -> &str {
        // SAFETY: ggml terminates the names that it sets.
        unsafe { text(self.tensor().name.as_ptr()) }
    }

    fn op(&self) -> &str {
        // SAFETY: a static string of ggml.
        unsafe { text(sys::ggml_op_desc(self.0.as_ptr())) }
    }

    fn type_name(&self) -> &str {
        // SAFETY: a static string of ggml.
        unsafe { text(sys::ggml_type_name(self.tensor().type_)) }
    }

    fn ne(&self) -> [usize; 4] {
        self.tensor().ne.map(|n| usize::try_from(n).unwrap_or(0))
    }

    fn nb(&self) -> [usize; 4] {
        self.tensor().nb
    }

    fn op_param(&self, index: usize) -> f32 {
        self.tensor()
            .op_params
            .get(index)
            .map_or(0.0, |bits| f32::from_bits(bits.cast_unsigned()))
    }

    fn src(&self, index: usize) -> Option<Self> {
        self.tensor().src.get(index).copied().and_then(Self::follow)
    }

    fn view_src(&self) -> Option<Self> {
        Self::follow(self.tensor().view_src)
    }

    fn is_computed(&self) -> bool {
        self.tensor().flags.cast_unsigned() & sys::GGML_TENSOR_FLAG_COMPUTE != 0
    }

    fn id(&self) -> usize {
        self.0.addr().get()
    }

    fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let tensor = self.tensor();
        // SAFETY: the tensor is valid and computed; ggml copies exactly the number of bytes that it states,
        // and memory of a host buffer stays as it is until the callback returns.
        unsafe {
            let n_bytes = sys::ggml_nbytes(self.0.as_ptr());
            let owner =
                NonNull::new(tensor.view_src).map_or(tensor.buffer, |owner| owner.as_ref().buffer);
            if !owner.is_null() && sys::ggml_backend_buffer_is_host(owner) && !tensor.data.is_null()
            {
                return std::slice::from_raw_parts(tensor.data.cast(), n_bytes);
            }
            scratch.resize(n_bytes, 0);
            sys::ggml_backend_tensor_get(self.0.as_ptr(), scratch.as_mut_ptr().cast(), 0, n_bytes);
            scratch
        }
    }

    fn decode_row(&self, row: &[u8], out: &mut [f32]) -> bool {
        // SAFETY: ggml's traits are static; the row is checked to hold as many blocks as the elements need.
        unsafe {
            let traits = &*sys::ggml_get_type_traits(self.tensor().type_);
            let block = usize::try_from(traits.blck_size).unwrap_or(0);
            let Some(to_float) = traits.to_float else {
                return false;
            };
            if block == 0
                || !out.len().is_multiple_of(block)
                || row.len() < out.len() / block * traits.type_size
            {
                return false;
            }
            to_float(
                row.as_ptr().cast(),
                out.as_mut_ptr(),
                i64::try_from(out.len()).unwrap_or(0),
            );
            true
        }
    }
}
