//! GGUF files through ggml's own reader and writer.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::Error;
use crate::llama::c_string;

/// Metadata and tensor list of a GGUF file.
#[derive(Debug)]
pub(super) struct Gguf(NonNull<sys::gguf_context>);

/// A tensor's entry: its type, dimensions innermost first, and size.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: sys::ggml_type,
    pub(super) type_name: String,
    pub(super) ne: Vec<usize>,
    pub(super) n_bytes: usize,
    /// Where the data ends in the file.
    pub(super) end: u64,
}

impl Gguf {
    /// Reads all but the tensors' data.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        crate::llama::check_magic(path)?;
        let name = c_string(path.as_os_str().as_encoded_bytes(), "model path")?;
        crate::llama::forget_log();
        let params = sys::gguf_init_params {
            no_alloc: true,
            ctx: std::ptr::null_mut(),
        };
        // SAFETY: the name outlives the call.
        NonNull::new(unsafe { sys::gguf_init_from_file(name.as_ptr(), params) })
            .map(Self)
            .ok_or_else(|| Error::Llama {
                action: format!("read `{}`", path.display()),
                log: crate::llama::error_log(),
            })
    }

    pub(super) fn empty() -> Self {
        // SAFETY: no preconditions; ggml aborts when it has no memory.
        let pointer = unsafe { sys::gguf_init_empty() };
        Self(NonNull::new(pointer).expect("ggml returns a context or aborts"))
    }

    fn find(&self, key: &str, expected: sys::gguf_type) -> Option<i64> {
        let key = CString::new(key).ok()?;
        // SAFETY: valid context and key; the type is asked only for a key that exists.
        unsafe {
            let id = sys::gguf_find_key(self.0.as_ptr(), key.as_ptr());
            (id >= 0 && sys::gguf_get_kv_type(self.0.as_ptr(), id) == expected).then_some(id)
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        let id = self.find(key, sys::GGUF_TYPE_STRING)?;
        // SAFETY: the key exists and is a string, which ggml owns and terminates.
        Some(unsafe { text(sys::gguf_get_val_str(self.0.as_ptr(), id)) })
    }

    pub(super) fn u32(&self, key: &str) -> Option<u32> {
        let id = self.find(key, sys::GGUF_TYPE_UINT32)?;
        // SAFETY: the key exists and has this type.
        Some(unsafe { sys::gguf_get_val_u32(self.0.as_ptr(), id) })
    }

    pub(super) fn f32(&self, key: &str) -> Option<f32> {
        let id = self.find(key, sys::GGUF_TYPE_FLOAT32)?;
        // SAFETY: the key exists and has this type.
        Some(unsafe { sys::gguf_get_val_f32(self.0.as_ptr(), id) })
    }

    /// A number of any type, widened.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let key = CString::new(key).ok()?;
        let context = self.0.as_ptr();
        // SAFETY: valid context and key; the value is read as the type that it has.
        unsafe {
            let id = sys::gguf_find_key(context, key.as_ptr());
            if id < 0 {
                return None;
            }
            Some(match sys::gguf_get_kv_type(context, id) {
                sys::GGUF_TYPE_UINT8 => f64::from(sys::gguf_get_val_u8(context, id)),
                sys::GGUF_TYPE_INT8 => f64::from(sys::gguf_get_val_i8(context, id)),
                sys::GGUF_TYPE_UINT16 => f64::from(sys::gguf_get_val_u16(context, id)),
                sys::GGUF_TYPE_INT16 => f64::from(sys::gguf_get_val_i16(context, id)),
                sys::GGUF_TYPE_UINT32 => f64::from(sys::gguf_get_val_u32(context, id)),
                sys::GGUF_TYPE_INT32 => f64::from(sys::gguf_get_val_i32(context, id)),
                sys::GGUF_TYPE_UINT64 => sys::gguf_get_val_u64(context, id) as f64,
                sys::GGUF_TYPE_INT64 => sys::gguf_get_val_i64(context, id) as f64,
                sys::GGUF_TYPE_FLOAT32 => f64::from(sys::gguf_get_val_f32(context, id)),
                sys::GGUF_TYPE_FLOAT64 => sys::gguf_get_val_f64(context, id),
                sys::GGUF_TYPE_BOOL => f64::from(u8::from(sys::gguf_get_val_bool(context, id))),
                _ => return None,
            })
        }
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let id = self.find(key, sys::GGUF_TYPE_ARRAY)?;
        // SAFETY: the key exists and is an array; its strings are read only if it has strings.
        unsafe {
            let context = self.0.as_ptr();
            if sys::gguf_get_arr_type(context, id) != sys::GGUF_TYPE_STRING {
                return None;
            }
            let count = sys::gguf_get_arr_n(context, id);
            Some(
                (0..count)
                    .map(|index| text(sys::gguf_get_arr_str(context, id, index)))
                    .collect(),
            )
        }
    }

    pub(super) fn i32s(&self, key: &str) -> Option<Vec<i32>> {
        let id = self.find(key, sys::GGUF_TYPE_ARRAY)?;
        // SAFETY: the key exists and is an array; its data is read only if it has this type.
        unsafe {
            let context = self.0.as_ptr();
            if sys::gguf_get_arr_type(context, id) != sys::GGUF_TYPE_INT32 {
                return None;
            }
            let count = sys::gguf_get_arr_n(context, id);
            let data = sys::gguf_get_arr_data(context, id).cast::<i32>();
            Some(
                (0..count)
                    .map(|index| data.add(index).read_unaligned())
                    .collect(),
            )
        }
    }

    pub(super) fn tensors(&self) -> Vec<Entry> {
        let context = self.0.as_ptr();
        // SAFETY: every id is below the count; ggml owns the dimensions.
        unsafe {
            (0..sys::gguf_get_n_tensors(context))
                .map(|id| Entry {
                    name: text(sys::gguf_get_tensor_name(context, id)),
                    kind: sys::gguf_get_tensor_type(context, id),
                    type_name: text(sys::ggml_type_name(sys::gguf_get_tensor_type(context, id))),
                    ne: std::slice::from_raw_parts(sys::gguf_get_tensor_ne(context, id), 4)
                        .iter()
                        .map(|n| usize::try_from(*n).unwrap_or(0))
                        .collect(),
                    n_bytes: sys::gguf_get_tensor_size(context, id),
                    end: (sys::gguf_get_data_offset(context)
                        + sys::gguf_get_tensor_offset(context, id)
                        + sys::gguf_get_tensor_size(context, id)) as u64,
                })
                .collect()
        }
    }

    pub(super) fn set_text(&mut self, key: &str, value: &str) {
        let (key, value) = (owned(key), owned(value));
        // SAFETY: ggml copies both.
        unsafe { sys::gguf_set_val_str(self.0.as_ptr(), key.as_ptr(), value.as_ptr()) }
    }

    pub(super) fn set_u32(&mut self, key: &str, value: u32) {
        let key = owned(key);
        // SAFETY: ggml copies the key.
        unsafe { sys::gguf_set_val_u32(self.0.as_ptr(), key.as_ptr(), value) }
    }

    pub(super) fn set_f32(&mut self, key: &str, value: f32) {
        let key = owned(key);
        // SAFETY: ggml copies the key.
        unsafe { sys::gguf_set_val_f32(self.0.as_ptr(), key.as_ptr(), value) }
    }

    pub(super) fn set_bool(&mut self, key: &str, value: bool) {
        let key = owned(key);
        // SAFETY: ggml copies the key.
        unsafe { sys::gguf_set_val_bool(self.0.as_ptr(), key.as_ptr(), value) }
    }

    pub(super) fn set_texts(&mut self, key: &str, values: &[String]) {
        let key = owned(key);
        let values: Vec<CString> = values.iter().map(|value| owned(value)).collect();
        let mut pointers: Vec<_> = values.iter().map(|value| value.as_ptr()).collect();
        // SAFETY: ggml copies the strings.
        unsafe {
            sys::gguf_set_arr_str(
                self.0.as_ptr(),
                key.as_ptr(),
                pointers.as_mut_ptr(),
                pointers.len(),
            )
        }
    }

    pub(super) fn set_i32s(&mut self, key: &str, values: &[i32]) {
        let key = owned(key);
        let data = values.as_ptr().cast::<c_void>();
        // SAFETY: ggml copies the numbers.
        unsafe {
            sys::gguf_set_arr_data(
                self.0.as_ptr(),
                key.as_ptr(),
                sys::GGUF_TYPE_INT32,
                data,
                values.len(),
            );
        }
    }

    /// Writes the file with these tensors: name, dimensions innermost first, elements; stored as `store` says.
    pub(super) fn write(mut self, tensors: &[Tensor], path: &Path) -> Result<(), Error> {
        let name = c_string(path.as_os_str().as_encoded_bytes(), "output path")?;
        // SAFETY: the context is large enough for the tensors' headers; their data lives in `tensors` until the
        // file is written.
        let written = unsafe {
            let params = sys::ggml_init_params {
                mem_size: (tensors.len() + 1) * sys::ggml_tensor_overhead(),
                mem_buffer: std::ptr::null_mut(),
                no_alloc: true,
            };
            let headers = sys::ggml_init(params);
            for tensor in tensors {
                let ne: Vec<i64> = tensor
                    .ne
                    .iter()
                    .map(|n| i64::try_from(*n).unwrap_or(0))
                    .collect();
                let dims = std::ffi::c_int::try_from(ne.len()).unwrap_or(0);
                let kind = if tensor.half {
                    sys::GGML_TYPE_F16
                } else {
                    sys::GGML_TYPE_F32
                };
                let header = sys::ggml_new_tensor(headers, kind, dims, ne.as_ptr());
                sys::ggml_set_name(header, owned(&tensor.name).as_ptr());
                (*header).data = tensor.bytes.as_ptr().cast_mut().cast();
                sys::gguf_add_tensor(self.0.as_mut(), header);
            }
            let written = sys::gguf_write_to_file(self.0.as_ptr(), name.as_ptr(), false);
            sys::ggml_free(headers);
            written
        };
        if written {
            return Ok(());
        }
        let reason = std::io::Error::last_os_error();
        Err(Error::Io {
            action: "write model",
            path: path.to_owned(),
            source: reason,
        })
    }
}

impl Drop for Gguf {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { sys::gguf_free(self.0.as_ptr()) }
    }
}

/// A tensor to be written.
#[derive(Debug)]
pub(super) struct Tensor {
    name: String,
    ne: Vec<usize>,
    half: bool,
    bytes: Vec<u8>,
}

impl Tensor {
    /// Stores `elements` (innermost dimension first in `ne`) as `f16` or `f32`.
    pub(super) fn new(name: String, ne: Vec<usize>, elements: &[f32], half: bool) -> Self {
        let bytes = if half {
            elements
                .iter()
                .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
                .collect()
        } else {
            elements
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        Self {
            name,
            ne,
            half,
            bytes,
        }
    }
}

/// Keys and values of ours have no NUL; a token of a tokenizer could, and loses what follows it.
fn owned(value: &str) -> CString {
    let end = value.find('\0').unwrap_or(value.len());
    CString::new(&value[..end]).unwrap_or_default()
}

/// # Safety
///
/// `pointer` must be a NUL-terminated string.
unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}
