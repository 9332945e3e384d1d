//! Which file a piece of memory is mapped from.

use std::ffi::c_void;
use std::path::PathBuf;

/// The file that `address` is mapped from: for a weight, the model.
pub(crate) fn file_at(address: *const c_void) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    find(&maps, address as usize)
}

/// # Source
///
/// `proc_pid_maps(5)`: `FROM-TO PERMISSIONS OFFSET DEVICE INODE    PATH`, addresses in hexadecimal.
fn find(maps: &str, address: usize) -> Option<PathBuf> {
    maps.lines().find_map(|line| {
        let (from, rest) = line.split_once('-')?;
        let (to, rest) = rest.split_once(' ')?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        let inside = (parse(from)?..parse(to)?).contains(&address);
        let path = &rest[rest.find('/')?..];
        inside.then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_and_anonymous_memory() {
        let maps = "\
7f00-7f10 rw-p 00000000 00:00 0 \n\
7f10-7f20 r--s 00000000 fe:01 77    /models/a b.gguf\n\
7f20-7f30 rw-p 00000000 00:00 0     [heap]\n";
        assert_eq!(find(maps, 0x7f10), Some(PathBuf::from("/models/a b.gguf")));
        assert_eq!(find(maps, 0x7f1f), Some(PathBuf::from("/models/a b.gguf")));
        for elsewhere in [0x7f00, 0x7f20, 0x8000] {
            assert_eq!(find(maps, elsewhere), None);
        }
    }
}
