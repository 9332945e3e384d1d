//! A tensor of the program's graph, read through the program's own ggml.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use ggml_callback::Node;

use crate::accessors::Accessors;
use crate::layout::{self, Layout};

/// How to read the tensors of one copy of ggml.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ggml {
    pub(crate) accessors: Accessors,
    pub(crate) layout: Layout,
    /// Whether the graph marks the nodes that are computed (`GGML_TENSOR_FLAG_COMPUTE`); the others hold what was in
    /// their memory before.
    pub(crate) marks_computed: bool,
}

/// One tensor. Valid as long as the graph that it belongs to, which is during the call in which ggml showed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor<'g> {
    pointer: NonNull<c_void>,
    ggml: &'g Ggml,
}

impl<'g> Tensor<'g> {
    /// `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// `pointer` is null or a live tensor of the copy of ggml that `ggml` describes, for `'g`.
    pub(crate) unsafe fn new(pointer: *mut c_void, ggml: &'g Ggml) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self { pointer, ggml })
    }

    /// The same tensor, read in another way.
    pub(crate) fn read_with(self, ggml: &'g Ggml) -> Self {
        Self { ggml, ..self }
    }

    /// The tensors behind `pointers`.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new), for each.
    pub(crate) unsafe fn all<'p>(
        pointers: &'p [*mut c_void],
        ggml: &'g Ggml,
    ) -> impl Iterator<Item = Self> + Clone + use<'p, 'g> {
        // SAFETY: as the caller says.
        pointers
            .iter()
            .filter_map(move |pointer| unsafe { Self::new(*pointer, ggml) })
    }

    /// # Safety
    ///
    /// A value of type `T` lies at `offset`.
    unsafe fn field<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the caller says that it lies there.
        unsafe { self.pointer.byte_add(offset).cast::<T>().read_unaligned() }
    }

    fn linked(&self, offset: usize) -> Option<Self> {
        // SAFETY: the layout says that a pointer to a tensor of the same graph, or null, lies at this offset.
        unsafe { Self::new(self.field(offset), self.ggml) }
    }

    fn type_number(&self) -> c_int {
        // SAFETY: `type` is an int in all versions.
        unsafe { self.field(layout::TYPE) }
    }

    /// Whether `GGML_TENSOR_FLAG_COMPUTE` is set.
    pub(crate) fn is_marked_computed(&self) -> bool {
        /// `GGML_TENSOR_FLAG_COMPUTE`
        const COMPUTE: i32 = 16;
        self.ggml.layout.flags.is_some_and(|offset| {
            // SAFETY: the layout says that the flags lie there.
            unsafe { self.field::<i32>(offset) & COMPUTE != 0 }
        })
    }

    fn is_in_host_memory(&self) -> bool {
        let owner = self.view_src().unwrap_or(*self);
        // SAFETY: a pointer in all versions.
        let buffer: *const c_void = unsafe { owner.field(layout::BUFFER) };
        // SAFETY: a live tensor's buffer.
        !buffer.is_null()
            && !self.data().is_null()
            && unsafe { (self.ggml.accessors.buffer_is_host)(buffer) }
    }

    /// Where the elements are, if they are in memory that this process can see.
    pub(crate) fn data(&self) -> *const c_void {
        // SAFETY: the layout says that a pointer lies there.
        unsafe { self.field(self.ggml.layout.data) }
    }
}

/// A string that ggml owns.
///
/// # Safety
///
/// `text` is null or a C string that stays for `'t`.
unsafe fn text<'t>(text: *const c_char) -> &'t str {
    if text.is_null() {
        return "";
    }
    // SAFETY: not null, so a C string.
    let bytes = unsafe { CStr::from_ptr(text) };
    // ggml's names and its own strings are ASCII; one that a program cut inside a character has no meaning here.
    bytes.to_str().unwrap_or_default()
}

impl Node for Tensor<'_> {
    fn name(&self) -> &str {
        // SAFETY: a live tensor; ggml's names end with a zero.
        unsafe { text((self.ggml.accessors.get_name)(self.pointer.as_ptr())) }
    }

    fn op(&self) -> &str {
        // SAFETY: a live tensor, and a static string.
        unsafe { text((self.ggml.accessors.op_desc)(self.pointer.as_ptr())) }
    }

    fn type_name(&self) -> &str {
        // SAFETY: the type of a live tensor, and a static string.
        unsafe { text((self.ggml.accessors.type_name)(self.type_number())) }
    }

    fn ne(&self) -> [usize; 4] {
        // SAFETY: four int64_t in all versions.
        let ne: [i64; 4] = unsafe { self.field(layout::NE) };
        ne.map(|elements| usize::try_from(elements).unwrap_or(0))
    }

    fn nb(&self) -> [usize; 4] {
        // SAFETY: four size_t in all versions.
        unsafe { self.field(layout::NB) }
    }

    fn op_param(&self, index: usize) -> f32 {
        if index >= layout::MAX_OP_PARAMS {
            return 0.0;
        }
        // SAFETY: inside the parameters, which any bits are valid for.
        unsafe { self.field(layout::OP_PARAMS + index * size_of::<f32>()) }
    }

    fn src(&self, index: usize) -> Option<Self> {
        (index < layout::MAX_SRC)
            .then(|| self.linked(self.ggml.layout.src + index * size_of::<*mut c_void>()))
            .flatten()
    }

    fn view_src(&self) -> Option<Self> {
        self.linked(self.ggml.layout.view_src)
    }

    fn is_computed(&self) -> bool {
        !self.ggml.marks_computed || self.is_marked_computed()
    }

    fn id(&self) -> usize {
        self.pointer.as_ptr() as usize
    }

    fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let tensor = self.pointer.as_ptr();
        // SAFETY: a live tensor.
        let nbytes = unsafe { (self.ggml.accessors.nbytes)(tensor) };
        if self.is_in_host_memory() {
            // SAFETY: that many bytes lie there, and stay as they are until the callback returns.
            return unsafe { std::slice::from_raw_parts(self.data().cast(), nbytes) };
        }
        scratch.resize(nbytes, 0);
        // SAFETY: ggml copies `nbytes` bytes out of a computed tensor, wherever its memory is.
        unsafe { (self.ggml.accessors.tensor_get)(tensor, scratch.as_mut_ptr().cast(), 0, nbytes) };
        scratch
    }

    fn decode_row(&self, _row: &[u8], _out: &mut [f32]) -> bool {
        // Activations are never stored in blocks; only weights and the cache are, and those are not captured.
        false
    }
}
