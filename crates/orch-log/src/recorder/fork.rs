//! The id of this process, without a system call, right also in the child of a fork.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A page of memory that the kernel fills with zeros in the child of a fork; null before the first use.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Stands for a kernel without such pages: then the id is asked for each time.
const NONE: *mut AtomicU32 = ptr::without_provenance_mut(align_of::<AtomicU32>());

/// The id of this process. glibc no longer caches it, because a cache is wrong after `clone`; here the kernel
/// itself clears it.
#[inline]
pub(crate) fn process_id() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() || page == NONE {
        return first_use(page);
    }
    // SAFETY: neither null nor `NONE`, so it points to the page that `first_use` mapped and never unmaps.
    let cached = unsafe { &*page };
    match cached.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            cached.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

#[cold]
fn first_use(page: *mut AtomicU32) -> u32 {
    if page.is_null() {
        let fresh = map_page().unwrap_or(NONE);
        // The page of a thread that comes second stays mapped and unused.
        let _ = PAGE.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
    }
    std::process::id()
}

#[cfg(target_os = "linux")]
fn map_page() -> Option<*mut AtomicU32> {
    const SIZE: usize = 4096;
    // SAFETY: a new private mapping; no existing memory is touched.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page was just mapped and nobody else knows of it.
    let wiped = unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } == 0;
    if !wiped {
        // SAFETY: as above.
        unsafe { libc::munmap(page, SIZE) };
    }
    wiped.then_some(page.cast())
}

#[cfg(not(target_os = "linux"))]
fn map_page() -> Option<*mut AtomicU32> {
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_this_process() {
        assert_eq!(super::process_id(), std::process::id());
        assert_eq!(super::process_id(), std::process::id());
    }
}
