//! Functions of a shared library that is loaded while the program runs.
//!
//! cudarc loads CUDA at run time too, but panics where a library or one of its functions is missing, and which
//! versioned names it binds follows from a feature that the engine chooses. A logger may do neither.

use std::ffi::{CStr, CString, c_void};

/// An open library; never closed, as its functions are kept for good.
#[derive(Clone, Copy)]
pub(super) struct Library(*mut c_void);

impl Library {
    /// The first of `names` that can be loaded, or why the first could not.
    pub(super) fn open(names: &[String]) -> Result<Self, String> {
        let mut first_error = None;
        for name in names {
            let Ok(text) = CString::new(name.as_str()) else {
                continue;
            };
            // SAFETY: a terminated string; loading runs the initialisers of a library of CUDA's.
            let handle = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if !handle.is_null() {
                return Ok(Self(handle));
            }
            first_error.get_or_insert_with(last_error);
        }
        Err(first_error.unwrap_or_else(|| "no name to look for".to_owned()))
    }

    /// The function `name`.
    ///
    /// # Safety
    ///
    /// `F` is a function pointer of the type that the library documents for `name`.
    pub(super) unsafe fn function<F: Copy>(self, name: &str) -> Result<F, String> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let text = CString::new(name).map_err(|error| error.to_string())?;
        // SAFETY: an open library and a terminated string.
        let address = unsafe { libc::dlsym(self.0, text.as_ptr()) };
        if address.is_null() {
            return Err(format!("has no function `{name}`: the driver is too old"));
        }
        // SAFETY: of pointer size, and by the caller's word a function pointer of this type.
        Ok(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }
}

fn last_error() -> String {
    // SAFETY: returns null or a terminated string that lives until this thread's next call of the family.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "cannot be loaded".to_owned();
    }
    // SAFETY: not null, see above.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A table of functions, filled from a library.
macro_rules! functions {
    ($(#[$meta:meta])* struct $table:ident { $($field:ident: $name:literal ($($argument:ty),* $(,)?);)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $table {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> i32,)*
        }

        impl $table {
            pub(super) fn load(library: $crate::cuda::dynamic::Library) -> Result<Self, String> {
                Ok(Self {
                    // SAFETY: the types are those of NVIDIA's headers; all return an enum that starts with 0 for success.
                    $($field: unsafe { library.function($name)? },)*
                })
            }
        }
    };
}
pub(super) use functions;
