//! Which loaded object defines a symbol, without the loader's help.
//!
//! While a process ends the loader must not be asked: it takes an object that is finished already for one that was never
//! started, and starts it again.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use libc::{Elf64_Sym, PT_DYNAMIC, dl_phdr_info};

/// The path of the loaded object that defines `symbol`; empty for the program itself.
pub(crate) fn definer(symbol: &CStr) -> Option<CString> {
    struct Search<'s> {
        symbol: &'s CStr,
        found: Option<CString>,
    }
    unsafe extern "C" fn look(info: *mut dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid `info`, and the search given below.
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<'_>>()) };
        let path = if info.dlpi_name.is_null() {
            c""
        } else {
            // SAFETY: a C string that lives during the iteration.
            unsafe { CStr::from_ptr(info.dlpi_name) }
        };
        // The kernel's own object is not relocated, and has nothing of interest.
        if path.to_bytes().starts_with(b"linux-vdso") {
            return 0;
        }
        // SAFETY: a loaded object, and its own tables.
        let defines =
            unsafe { Tables::of(info).is_some_and(|tables| tables.define(search.symbol)) };
        if defines {
            search.found = Some(path.to_owned());
            return 1;
        }
        0
    }
    let mut search = Search {
        symbol,
        found: None,
    };
    // SAFETY: `look` has the type that is asked for and gets the search that it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), ptr::from_mut(&mut search).cast()) };
    search.found
}

/// The tables by which a loader finds an object's symbols.
///
/// # Source
///
/// System V ABI, "Dynamic Section" and "Symbol Table"; for the hash table `elf/dl-lookup.c` of glibc.
struct Tables {
    symbols: *const Elf64_Sym,
    strings: *const u8,
    hash: *const u32,
}

impl Tables {
    /// # Safety
    ///
    /// `info` describes an object that is loaded and relocated.
    unsafe fn of(info: &dl_phdr_info) -> Option<Self> {
        const NULL: i64 = 0;
        const STRINGS: i64 = 5;
        const SYMBOLS: i64 = 6;
        const GNU_HASH: i64 = 0x6fff_fef5;
        let mut tables = Self {
            symbols: ptr::null(),
            strings: ptr::null(),
            hash: ptr::null(),
        };
        // SAFETY: the program headers of the object.
        let headers =
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let dynamic = headers.iter().find(|header| header.p_type == PT_DYNAMIC)?;
        let mut entry =
            ptr::with_exposed_provenance::<[i64; 2]>((info.dlpi_addr + dynamic.p_vaddr) as usize);
        loop {
            // SAFETY: the section ends with an entry of type NULL.
            let [tag, value] = unsafe { entry.read() };
            let address = value as usize;
            match tag {
                NULL => break,
                STRINGS => tables.strings = ptr::with_exposed_provenance(address),
                SYMBOLS => tables.symbols = ptr::with_exposed_provenance(address),
                GNU_HASH => tables.hash = ptr::with_exposed_provenance(address),
                _ => {}
            }
            // SAFETY: not the last entry.
            entry = unsafe { entry.add(1) };
        }
        let complete =
            !tables.symbols.is_null() && !tables.strings.is_null() && !tables.hash.is_null();
        complete.then_some(tables)
    }

    /// Whether `symbol` is defined, not only used.
    ///
    /// # Safety
    ///
    /// The tables are those of a loaded object.
    unsafe fn define(&self, symbol: &CStr) -> bool {
        let wanted = symbol.to_bytes().iter().fold(5381u32, |hash, byte| {
            hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
        });
        // SAFETY: the table is: number of buckets, first symbol in it, words of the filter, shift; the filter of
        // 64-bit words; the buckets; a hash for each symbol from the first on, the last of a bucket with bit 0 set.
        unsafe {
            let [buckets, first, filter, _shift] = self.hash.cast::<[u32; 4]>().read();
            if buckets == 0 {
                return false;
            }
            let bucket = self.hash.add(4 + 2 * filter as usize);
            let hashes = bucket.add(buckets as usize);
            let mut index = bucket.add((wanted % buckets) as usize).read();
            if index < first {
                return false;
            }
            loop {
                let hash = hashes.add((index - first) as usize).read();
                if hash | 1 == wanted | 1 {
                    let entry = self.symbols.add(index as usize).read();
                    let name = CStr::from_ptr(self.strings.add(entry.st_name as usize).cast());
                    if name == symbol && entry.st_shndx != 0 {
                        return true;
                    }
                }
                if hash & 1 == 1 {
                    return false;
                }
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_definitions_and_not_uses() {
        // This test uses `dl_iterate_phdr`, the C library defines it.
        let path = definer(c"dl_iterate_phdr").expect("the C library defines it");
        assert!(path.to_string_lossy().contains("libc.so"), "{path:?}");
        assert_eq!(definer(c"no_object_defines_this"), None);
    }

    #[test]
    fn agrees_with_the_loader() {
        for symbol in [c"getpid", c"malloc", c"_Unwind_Resume", c"qsort"] {
            // SAFETY: a lookup in the global scope.
            let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
            let expected = crate::origin::object_at(address)
                .expect("defined somewhere")
                .path;
            assert_eq!(definer(symbol), Some(expected), "{symbol:?}");
        }
    }
}
