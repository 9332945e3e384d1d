//! Finding the function that a call would have reached without us.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use libc::{RTLD_LAZY, RTLD_NEXT, RTLD_NOLOAD, dl_phdr_info};

/// The function `symbol` of another object than this library, for a call that returns to `caller`.
///
/// Asked in this order:
/// 1. the object that called and what it depends on: right also where several copies of ggml are loaded, and where
///    ggml came in through `dlopen` with local scope, as in Python and Node;
/// 2. whatever follows us in the global scope;
/// 3. every loaded object.
pub(crate) fn behind(symbol: &CStr, caller: *const c_void) -> Option<*mut c_void> {
    let other = |found: *mut c_void| (!found.is_null() && !is_ours(found)).then_some(found);
    object_at(caller)
        .and_then(|object| in_object(&object.path, symbol))
        .and_then(other)
        // SAFETY: `dlsym` with a special handle and a C string.
        .or_else(|| other(unsafe { libc::dlsym(RTLD_NEXT, symbol.as_ptr()) }))
        .or_else(|| {
            loaded_objects()
                .iter()
                .find_map(|path| in_object(path, symbol).and_then(other))
        })
}

/// Whether `symbol` of the global scope is the one of this library: whether we are preloaded.
pub(crate) fn is_first(symbol: &CStr) -> bool {
    // Not `RTLD_DEFAULT`, which goes on to look into this library when the global scope has no such symbol.
    // SAFETY: null stands for the program; the handle is closed, the program stays.
    let found = unsafe {
        let program = libc::dlopen(ptr::null(), RTLD_LAZY | RTLD_NOLOAD);
        if program.is_null() {
            return false;
        }
        let found = libc::dlsym(program, symbol.as_ptr());
        libc::dlclose(program);
        found
    };
    !found.is_null() && is_ours(found)
}

/// Whether `address` lies in this library. Comparing functions would not do: taking the address of an exported
/// function of ours gives whichever function of that name comes first in the process.
fn is_ours(address: *const c_void) -> bool {
    let here = object_at(is_ours as *const c_void).map(|object| object.base);
    object_at(address).map(|object| object.base) == here
}

/// A loaded file.
#[derive(Debug)]
pub(crate) struct Object {
    /// As the loader knows it.
    pub(crate) path: CString,
    /// Where it begins in memory: tells copies of one library apart.
    pub(crate) base: usize,
}

/// The loaded file that `address` lies in.
pub(crate) fn object_at(address: *const c_void) -> Option<Object> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address and fills `info` when it returns non-zero.
    let info = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: not null, and a string that lives as long as the object is loaded.
    let path = unsafe { CStr::from_ptr(info.dli_fname) }.to_owned();
    let base = info.dli_fbase as usize;
    Some(Object { path, base })
}

/// `symbol` in an object that is loaded already, or in what that depends on.
pub(crate) fn in_object(path: &CStr, symbol: &CStr) -> Option<*mut c_void> {
    if path.is_empty() {
        return None;
    }
    // SAFETY: `RTLD_NOLOAD` only looks up, so no constructor runs; the handle is closed, which takes back the
    // reference that `dlopen` counted and leaves the object loaded.
    let found = unsafe {
        let handle = libc::dlopen(path.as_ptr(), RTLD_LAZY | RTLD_NOLOAD);
        if handle.is_null() {
            return None;
        }
        let found = libc::dlsym(handle, symbol.as_ptr());
        libc::dlclose(handle);
        found
    };
    (!found.is_null()).then_some(found)
}

/// The paths of all loaded objects. Collected first, since looking into one takes the lock that the
/// iteration holds.
pub(crate) fn loaded_objects() -> Vec<CString> {
    unsafe extern "C" fn collect(
        info: *mut dl_phdr_info,
        _size: usize,
        paths: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid `info`, and the vector given below.
        let (info, paths) = unsafe { (&*info, &mut *paths.cast::<Vec<CString>>()) };
        if !info.dlpi_name.is_null() {
            // SAFETY: a C string that lives during the iteration.
            let path = unsafe { CStr::from_ptr(info.dlpi_name) };
            if !path.is_empty() {
                paths.push(path.to_owned());
            }
        }
        0
    }
    let mut paths = Vec::new();
    // SAFETY: `collect` has the type that is asked for and gets the vector that it expects.
    unsafe { libc::dl_iterate_phdr(Some(collect), ptr::from_mut(&mut paths).cast()) };
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_another_object_defines() {
        let caller = behind as *const c_void;
        let found = behind(c"getpid", caller).expect("the C library defines it");
        // SAFETY: the C library's `getpid` has this type.
        let getpid =
            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(found) };
        // SAFETY: no preconditions.
        assert_eq!(unsafe { getpid() } as u32, std::process::id());
        assert!(behind(c"no_object_defines_this", caller).is_none());
    }

    #[test]
    fn tells_our_own_object() {
        assert!(is_ours(behind as *const c_void));
        assert!(!is_ours(libc::getpid as *const c_void));
        assert!(!is_first(c"getpid"));
    }

    #[test]
    fn objects_are_told_by_address() {
        let here = object_at(objects_are_told_by_address as *const c_void).expect("this test");
        let there = object_at(libc::getpid as *const c_void).expect("the C library");
        assert_ne!(here.base, there.base);
        assert!(there.path.to_string_lossy().contains("libc"));
        assert!(loaded_objects().contains(&there.path));
    }
}
