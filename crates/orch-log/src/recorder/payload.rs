//! Payload files: all elements of a tensor, as raw little-endian bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::fork::process_id;
use super::run::beside;
use super::sink::Sink;
use crate::format::writer::Place;
use crate::tensor::{Element, TensorView};

/// Payloads start at multiples of this, so that a mapped file can be read as any element type, and by
/// vector loads.
const ALIGNMENT_BYTES: u64 = 64;

/// The payload file of the current process, opened when first needed.
#[derive(Debug)]
pub(super) struct Payloads {
    trace: PathBuf,
    current: AtomicPtr<PayloadFile>,
}

#[derive(Debug)]
struct PayloadFile {
    /// A forked child inherits this struct, but must not write to its parent's offsets.
    pid: u32,
    name: String,
    file: File,
    /// Where the next payload goes. Only this process writes to the file, so an atomic addition is a
    /// reservation, and threads write to disjoint ranges without waiting for each other.
    end: AtomicU64,
}

impl Payloads {
    pub(super) fn new(trace: &Path) -> Self {
        Self {
            trace: trace.to_owned(),
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Writes all elements of `view`; the returned place may be named in a record. A failure is
    /// counted in `sink`.
    pub(super) fn write<T: Element>(
        &self,
        view: &TensorView<'_, T>,
        sink: &Sink,
    ) -> Option<Place<'_>> {
        let nbytes = (view.len() as u64).saturating_mul(size_of::<T>() as u64);
        if !sink.reserve(nbytes) {
            sink.lose_payload(None);
            return None;
        }
        let written = self.file().and_then(|payload| {
            let room = nbytes.next_multiple_of(ALIGNMENT_BYTES);
            let offset = payload.end.fetch_add(room, Ordering::Relaxed);
            let mut at = offset;
            view.try_chunks(|chunk| -> io::Result<()> {
                let bytes = as_bytes(chunk);
                payload.file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
                Ok(())
            })?;
            Ok(Place {
                file: &payload.name,
                offset,
                nbytes,
                dtype: T::DTYPE,
            })
        });
        match written {
            Ok(payload) => {
                sink.count_payload_bytes(nbytes);
                Some(payload)
            }
            Err(error) => {
                sink.lose_payload(Some(&error));
                None
            }
        }
    }

    /// Writes `block` as it lies in memory that a device may be writing: the kernel reads it, and no reference is made
    /// to it. A failure is not counted: only the caller knows how many payloads lie in it.
    #[cfg(feature = "cuda")]
    pub(super) fn write_raw(
        &self,
        block: super::DeviceBlock,
        sink: &Sink,
    ) -> Result<super::Block<'_>, super::Loss> {
        let nbytes = block.nbytes;
        if !sink.reserve(nbytes) {
            return Err(super::Loss::LIMIT);
        }
        let written = self.file().and_then(|to| {
            let room = nbytes.next_multiple_of(ALIGNMENT_BYTES);
            let offset = to.end.fetch_add(room, Ordering::Relaxed);
            to.write_raw(block, offset)?;
            Ok(super::Block {
                file: &to.name,
                offset,
                nbytes,
            })
        });
        match written {
            Ok(block) => {
                sink.count_payload_bytes(nbytes);
                Ok(block)
            }
            Err(error) => Err(super::Loss::of(&error)),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.get()
            .map_or(Ok(()), |payload: &PayloadFile| payload.file.sync_data())
    }

    fn get(&self) -> Option<&PayloadFile> {
        // SAFETY: the pointer is null or came from `Box::into_raw` in `file`, and what it points to is freed
        // only in `drop`, which has the only reference to `self`.
        unsafe { self.current.load(Ordering::Acquire).as_ref() }
    }

    fn file(&self) -> io::Result<&PayloadFile> {
        let pid = process_id();
        match self.get() {
            Some(payload) if payload.pid == pid => Ok(payload),
            _ => self.open(pid),
        }
    }

    #[cold]
    fn open(&self, pid: u32) -> io::Result<&PayloadFile> {
        let before = self.current.load(Ordering::Acquire);
        let fresh = Box::into_raw(Box::new(PayloadFile::create(&self.trace, pid)?));
        // Two threads may get here together: one wins, the other uses the winner's file. After a fork the
        // parent's struct is left alone (a few bytes leak): another thread of the child could hold it.
        match self
            .current
            .compare_exchange(before, fresh, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                // SAFETY: just made, and now owned by `self.current` like any other.
                Ok(unsafe { &*fresh })
            }
            Err(_) => {
                // SAFETY: just made and not published, so this is the only pointer to it.
                let loser = unsafe { Box::from_raw(fresh) };
                let _ = std::fs::remove_file(self.trace.with_file_name(&loser.name));
                self.file()
            }
        }
    }
}

impl Drop for Payloads {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        if !current.is_null() {
            // SAFETY: from `Box::into_raw` in `open`, and no reference outlives `self`.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}

#[cfg(feature = "cuda")]
impl PayloadFile {
    fn write_raw(&self, block: super::DeviceBlock, offset: u64) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let mut done = 0;
        while done < block.nbytes {
            let left = usize::try_from(block.nbytes - done).unwrap_or(usize::MAX);
            let at = libc::off_t::try_from(offset + done).unwrap_or(libc::off_t::MAX);
            // SAFETY: inside the block's memory, which lives as long as the process.
            let count = unsafe {
                libc::pwrite(
                    self.file.as_raw_fd(),
                    block.data.add(done as usize).cast(),
                    left,
                    at,
                )
            };
            match count {
                0 => return Err(io::Error::from_raw_os_error(libc::ENOSPC)),
                1.. => done += count as u64,
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

impl PayloadFile {
    /// A new file, never an existing one: process ids come again, and a program may open the same
    /// trace twice. Records name their file, so any name serves.
    fn create(trace: &Path, pid: u32) -> io::Result<Self> {
        let mut attempt = 0u32;
        loop {
            let suffix = if attempt == 0 {
                format!(".{pid}.tensors")
            } else {
                format!(".{pid}-{attempt}.tensors")
            };
            let path = beside(trace, &suffix);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let name = path
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned())
                        .unwrap_or_default();
                    return Ok(Self {
                        pid,
                        name,
                        file,
                        end: AtomicU64::new(0),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 10_000 => {
                    attempt += 1
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The elements as bytes, in this machine's order, which is little-endian (see `lib.rs`).
fn as_bytes<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: `Element` is sealed to primitive numbers and transparent wrappers of them: no padding, every byte
    // initialised, and any alignment will do for `u8`.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}
