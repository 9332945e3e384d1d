//! The tensors of a GGUF file, by ggml's own reader.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::path::Path;

use llama_cpp_sys_2 as sys;

/// All tensors of an F32 GGUF file.
pub(crate) fn weights(path: &Path) -> HashMap<String, Vec<f64>> {
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let mut tensors = HashMap::new();
    // SAFETY: ggml loads the data into a context of its own, which is read before it is freed.
    unsafe {
        let mut context = std::ptr::null_mut();
        let params = sys::gguf_init_params {
            no_alloc: false,
            ctx: &mut context,
        };
        let file = sys::gguf_init_from_file(name.as_ptr(), params);
        assert!(!file.is_null());
        for id in 0..sys::gguf_get_n_tensors(file) {
            let name = sys::gguf_get_tensor_name(file, id);
            let tensor = sys::ggml_get_tensor(context, name);
            assert_eq!((*tensor).type_, sys::GGML_TYPE_F32);
            let count = usize::try_from(sys::ggml_nelements(tensor)).unwrap();
            let data = std::slice::from_raw_parts((*tensor).data.cast::<f32>(), count);
            let name = CStr::from_ptr(name).to_str().unwrap().to_owned();
            tensors.insert(name, data.iter().map(|value| f64::from(*value)).collect());
        }
        sys::gguf_free(file);
        sys::ggml_free(context);
    }
    tensors
}
