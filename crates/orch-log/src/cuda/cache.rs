//! Compiled kernels on the disk: NVRTC takes seconds for them, in every process anew.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::nvrtc::{Binary, OPTIONS};
use super::program::Program;

/// How an entry begins.
const MAGIC: &[u8] = b"orch-log compiled kernels 1\n";
/// Larger ones are not ours.
const MOST_BYTES: u64 = 64 << 20;

/// A folder of compiled programs, an entry each. Whatever is wrong with it, kernels are compiled as without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cache(PathBuf);

/// What an entry was compiled from and with; another of any of these is another entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(u128);

impl Key {
    pub(super) fn new(program: Program, arch: i32, compiler: &str) -> Self {
        let mut hash = Hash::new();
        for kernel in program.kernels() {
            hash.add(kernel.as_bytes());
        }
        for option in OPTIONS {
            hash.add(option.to_bytes());
        }
        hash.add(&arch.to_le_bytes());
        hash.add(compiler.as_bytes());
        hash.add(Program::source().as_bytes());
        Self(hash.0)
    }
}

/// FNV-1a of 128 bits, by its authors' constants.
struct Hash(u128);

impl Hash {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a part, told from its neighbours by its length.
    fn add(&mut self, part: &[u8]) {
        for byte in (part.len() as u64).to_le_bytes().iter().chain(part) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }
}

/// Over an entry behind its first line and this.
fn checksum(rest: &[u8]) -> [u8; 16] {
    let mut hash = Hash::new();
    hash.add(rest);
    hash.0.to_le_bytes()
}

impl Cache {
    /// `ORCH_LOG_CUDA_CACHE` names a folder, or says `off`; else it is one in the user's cache.
    pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        if let Some(named) = get("ORCH_LOG_CUDA_CACHE") {
            return (named != "off").then(|| Self(named.into()));
        }
        // A relative one is to be ignored, says the XDG base directory specification.
        let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let cache = get("XDG_CACHE_HOME").and_then(absolute);
        let cache = cache.or_else(|| Some(get("HOME").and_then(absolute)?.join(".cache")));
        Some(Self(cache?.join("orch-log").join("cuda")))
    }

    fn path(&self, key: Key) -> PathBuf {
        self.0.join(format!("{:032x}.kernels", key.0))
    }

    /// The entry of `key`; none where there is none, or it is broken, or another user could have written it.
    pub(super) fn get(&self, key: Key) -> Option<Binary> {
        let mut file = File::open(self.path(key)).ok()?;
        let about = file.metadata().ok()?;
        // SAFETY: asks for a number.
        let user = unsafe { libc::geteuid() };
        let is_safe = [0, user].contains(&about.uid()) && about.mode() & 0o022 == 0;
        if !is_safe || !about.is_file() || about.len() > MOST_BYTES {
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (sum, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<16>()?;
        if *sum != checksum(rest) {
            return None;
        }
        // Names, each with its zero byte, and an empty one; then the image.
        let (mut kernels, mut rest) = (Vec::new(), rest);
        loop {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (name, behind) = rest.split_at(end);
            rest = &behind[1..];
            if name.is_empty() {
                break;
            }
            kernels.push(CString::new(name).ok()?);
        }
        Some(Binary {
            image: rest.to_vec(),
            kernels,
        })
    }

    /// Writes an entry, if that can be done: whole or not at all, whoever else writes it at the same time.
    pub(super) fn put(&self, key: Key, binary: &Binary) {
        let mut rest = Vec::new();
        for kernel in &binary.kernels {
            rest.extend_from_slice(kernel.as_bytes_with_nul());
        }
        rest.push(0);
        rest.extend_from_slice(&binary.image);
        let entry = [MAGIC, &checksum(&rest), &rest].concat();
        let _ = self.write(&self.path(key), &entry);
    }

    fn write(&self, path: &Path, entry: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(entry))
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}
