//! The logger's kernels, as they are specified.

use std::ffi::{CStr, c_void};
use std::ptr;

use crate::cuda::driver::Handle;
use crate::cuda::program::{Program, Type};
use crate::cuda::slot::{
    Backlog, Batch, Delivery, Entry, Job, Piece, Ring, Slot, checksum, image_bytes,
};
use crate::tensor::{Element, TensorView};

/// What a kernel was launched with.
#[derive(Clone)]
pub(super) enum Work {
    /// The engine's own: a function of the replay's number.
    Engine(std::sync::Arc<dyn Fn(u64) + Send + Sync>),
    Log(Type, Box<Job>, Ring),
    Batch(Box<Batch>, Ring),
    /// Where the table is, and how many entries it has.
    Table(u64, u32, Ring),
    NextStep(u64),
    Copy {
        from: u64,
        to: u64,
        nbytes: u64,
    },
    CopySmall {
        from: u64,
        to: u64,
        nbytes: u64,
        position: u64,
        bits: u32,
        position_copy: u64,
    },
    CopyStrided {
        from: Box<Job>,
        size: u32,
        to: u64,
        position_copy: u64,
    },
    Deliver {
        from: u64,
        nbytes: u64,
        to: Delivery,
    },
    DeliverPieces {
        pieces: u64,
        count: u32,
        nbytes: u64,
        to: Delivery,
    },
    WaitForHost(Backlog),
}

impl Work {
    pub(super) fn run(self, number: u64) {
        match self {
            Self::Engine(kernel) => kernel(number),
            Self::Log(of, job, ring) => log(of, &job, &ring),
            Self::Batch(batch, ring) => {
                for place in 0..batch.count as usize {
                    let of = [Type::F32, Type::F16, Type::Bf16][usize::from(batch.types[place])];
                    log(of, &batch.jobs[place], &ring);
                }
            }
            Self::Table(table, count, ring) => {
                for place in 0..u64::from(count) {
                    let entry: Entry = read(table + place * size_of::<Entry>() as u64);
                    let of = [Type::F32, Type::F16, Type::Bf16][entry.of as usize];
                    log(of, &entry.job, &ring);
                }
            }
            Self::NextStep(step) => write(step, read::<u64>(step) + 1),
            Self::Copy { from, to, nbytes } => copy(from, to, nbytes),
            Self::CopySmall {
                from,
                to,
                nbytes,
                position,
                bits,
                position_copy,
            } => {
                copy(from, to, nbytes);
                copy_position(position, bits, position_copy);
            }
            Self::CopyStrided {
                from,
                size,
                to,
                position_copy,
            } => {
                for index in 0..from.count {
                    let at = to + index * u64::from(size);
                    copy(element(&from, size, index), at, u64::from(size));
                }
                copy_position(from.position, from.position_bits, position_copy);
            }
            Self::Deliver { from, nbytes, to } => {
                let pass = read::<u64>(to.pass);
                let buffer = pass % u64::from(to.buffer_count);
                write(to.headers + 16 * buffer, 0u64);
                copy(from, to.buffers + buffer * to.bytes, nbytes);
                write(to.headers + 16 * buffer + 8, nbytes);
                write(to.headers + 16 * buffer, pass + 1);
                write(to.pass, pass + 1);
            }
            Self::DeliverPieces {
                pieces,
                count,
                nbytes,
                to,
            } => {
                let pass = read::<u64>(to.pass);
                let buffer = pass % u64::from(to.buffer_count);
                write(to.headers + 16 * buffer, 0u64);
                for index in 0..u64::from(count) {
                    let piece: Piece = read(pieces + index * size_of::<Piece>() as u64);
                    assert!(
                        piece.offset.is_multiple_of(16) && piece.offset + piece.nbytes <= nbytes
                    );
                    copy(
                        piece.from,
                        to.buffers + buffer * to.bytes + piece.offset,
                        piece.nbytes,
                    );
                }
                write(to.headers + 16 * buffer + 8, nbytes);
                write(to.headers + 16 * buffer, pass + 1);
                write(to.pass, pass + 1);
            }
            Self::WaitForHost(backlog) => wait_for_host(&backlog),
        }
    }

    /// What `kernel` was launched with, by its name as NVRTC would have it.
    pub(super) fn of(kernel: Handle, blocks: u32, arguments: *mut *mut c_void) -> Self {
        // SAFETY: kernels of the fake are their names, see `module_get_function`.
        let name = unsafe { CStr::from_ptr(kernel.cast_const().cast()) }
            .to_str()
            .unwrap();
        // SAFETY: each kernel is launched with arguments of these types.
        unsafe {
            match name {
                "next_step<0>" => Self::NextStep(argument(arguments, 0)),
                "copy_small<0>" => Self::CopySmall {
                    from: argument(arguments, 0),
                    to: argument(arguments, 1),
                    nbytes: argument(arguments, 2),
                    position: argument(arguments, 3),
                    bits: argument(arguments, 4),
                    position_copy: argument(arguments, 5),
                },
                "copy_strided<0>" => Self::CopyStrided {
                    from: Box::new(argument(arguments, 0)),
                    size: argument(arguments, 1),
                    to: argument(arguments, 2),
                    position_copy: argument(arguments, 3),
                },
                "wait_for_host<0>" => Self::WaitForHost(argument(arguments, 0)),
                "deliver<0>" => Self::Deliver {
                    from: argument(arguments, 0),
                    nbytes: argument(arguments, 1),
                    to: argument(arguments, 2),
                },
                "log_batch<0>" => {
                    Self::Batch(Box::new(argument(arguments, 0)), argument(arguments, 1))
                }
                "deliver_pieces<0>" => Self::DeliverPieces {
                    pieces: argument(arguments, 0),
                    count: argument(arguments, 1),
                    nbytes: argument(arguments, 2),
                    to: argument(arguments, 3),
                },
                "log_table<0>" => {
                    Self::Table(argument(arguments, 0), blocks, argument(arguments, 1))
                }
                name => {
                    let of = Type::ALL.into_iter().find(|of| {
                        [Program::Plain(*of), Program::Strided(*of)]
                            .iter()
                            .any(|program| program.kernels() == [name])
                    });
                    let mut job: Job = argument(arguments, 0);
                    if name.starts_with("log_plain") {
                        job.strides = [0; 8];
                    } else {
                        // A stride of 0 along all axes is one that was forgotten.
                        assert!(
                            job.axes == 0 || job.strides.iter().any(|stride| *stride != 0),
                            "{name} without strides"
                        );
                    }
                    Self::Log(of.unwrap(), Box::new(job), argument(arguments, 1))
                }
            }
        }
    }
}

unsafe fn argument<T: Copy>(arguments: *mut *mut c_void, at: usize) -> T {
    // SAFETY: the caller's word.
    unsafe { (*arguments.add(at)).cast::<T>().read() }
}

fn read<T: Copy>(at: u64) -> T {
    // SAFETY: an address that the fake gave out, which is the host's.
    unsafe { ptr::with_exposed_provenance::<T>(at as usize).read_unaligned() }
}

pub(super) fn write<T>(at: u64, value: T) {
    // SAFETY: as in `read`.
    unsafe { ptr::with_exposed_provenance_mut::<T>(at as usize).write_unaligned(value) };
}

fn copy(from: u64, to: u64, nbytes: u64) {
    for at in 0..nbytes {
        write(to + at, read::<u8>(from + at));
    }
}

fn copy_position(position: u64, bits: u32, to: u64) {
    match bits {
        32 => write(to, i64::from(read::<i32>(position))),
        64 => write(to, read::<i64>(position)),
        _ => {}
    }
}

/// Where element `index` of a job with strides lies.
fn element(job: &Job, size: u32, mut index: u64) -> u64 {
    let mut offset = 0i64;
    for axis in (1..job.axes as usize).rev() {
        offset += (index % job.shape[axis]) as i64 * job.strides[axis];
        index /= job.shape[axis];
    }
    let outermost = if job.axes == 0 { 1 } else { job.strides[0] };
    offset += index as i64 * outermost;
    job.data.wrapping_add_signed(offset * i64::from(size))
}

/// Lets the host read until it has caught up, as long as it may.
fn wait_for_host(backlog: &Backlog) {
    let is_free = || {
        let pass = if backlog.pass == 0 {
            return true;
        } else {
            read::<u64>(backlog.pass)
        };
        let count = u64::from(backlog.buffer_count);
        let before = (pass + 1).saturating_sub(count);
        read::<u64>(backlog.taken + 8 * (pass % count)) >= before
    };
    let has_room =
        || read::<u64>(backlog.ticket) - read::<u64>(backlog.read) <= backlog.most_records;
    for _ in (0..backlog.limit_ns).step_by(1_000_000) {
        if is_free() && has_room() {
            break;
        }
        super::host_reads();
        write(
            backlog.waited_ns,
            read::<u64>(backlog.waited_ns) + 1_000_000,
        );
    }
}

/// Reads a tensor as the kernels do and writes the record as they do.
fn log(of: Type, job: &Job, ring: &Ring) {
    match of {
        Type::F64 => log_as::<f64>(of, job, ring),
        Type::F32 => log_as::<f32>(of, job, ring),
        Type::F16 => log_as::<half::f16>(of, job, ring),
        Type::Bf16 => log_as::<half::bf16>(of, job, ring),
        Type::F8E4m3 => log_as::<crate::F8E4m3>(of, job, ring),
        Type::F8E5m2 => log_as::<crate::F8E5m2>(of, job, ring),
        Type::I64 => log_as::<i64>(of, job, ring),
        Type::I32 => log_as::<i32>(of, job, ring),
        Type::I16 => log_as::<i16>(of, job, ring),
        Type::I8 => log_as::<i8>(of, job, ring),
        Type::U64 => log_as::<u64>(of, job, ring),
        Type::U32 => log_as::<u32>(of, job, ring),
        Type::U16 => log_as::<u16>(of, job, ring),
        Type::U8 => log_as::<u8>(of, job, ring),
        Type::Bool => log_as::<bool>(of, job, ring),
    }
}

fn log_as<T: Element>(of: Type, job: &Job, ring: &Ring) {
    let elements: Vec<T> = (0..job.count)
        .map(|index| {
            if job.strides == [0; 8] && job.axes > 0 {
                return read(job.data + index * size_of::<T>() as u64);
            }
            read(element(job, size_of::<T>() as u32, index))
        })
        .collect();
    let (stats, sketch) = crate::summary::summarize(&TensorView::new(&elements));
    let finite = (stats.n - stats.nan - stats.inf) as f64;
    let counted = match job.position_bits {
        32 => i64::from(read::<i32>(job.position)),
        64 => read::<i64>(job.position),
        _ => 0,
    };
    let number = read::<u64>(ring.ticket);
    write(ring.ticket, number + 1);
    let slot = Slot {
        sequence: number + 1,
        checksum: 0,
        site: job.site,
        token_idx: job.token_idx + counted,
        step: read(ring.step),
        n_tokens: job.n_tokens,
        payload_offset: job.payload_offset,
        payload_pass: if job.payload_pass == 0 {
            0
        } else {
            read(job.payload_pass)
        },
        n: stats.n,
        nan: stats.nan,
        inf: stats.inf,
        zero: stats.zero,
        min: stats.min,
        max: stats.max,
        sum: stats.mean * finite,
        squares: stats.rms * stats.rms * finite,
        sketch: sketch.s,
        axes: job.axes,
        first: job.first,
        shape: job.shape,
    };
    let size = of.size_bytes();
    let mut first: Vec<u8> = Vec::new();
    for element in elements.iter().take(job.first as usize) {
        let element = ptr::from_ref(element).cast::<u8>();
        // SAFETY: the bytes of one element.
        first.extend_from_slice(unsafe { std::slice::from_raw_parts(element, size) });
    }
    put(ring, &slot, &first, image_bytes(job.first, size as u32));
}

/// Writes a record into the ring, its checksum computed.
pub(in super::super) fn put(ring: &Ring, slot: &Slot, first: &[u8], bytes: u32) {
    let mut words = vec![0u32; bytes as usize / 4];
    // SAFETY: room for a slot, and any bits are words.
    unsafe { words.as_mut_ptr().cast::<Slot>().write_unaligned(*slot) };
    let tail = &mut words[size_of::<Slot>() / 4..];
    for (at, byte) in first.iter().enumerate() {
        tail[at / 4] |= u32::from(*byte) << (8 * (at % 4));
    }
    words[2] = 0;
    words[2] = checksum(&words).wrapping_add(slot.checksum);
    let at = ring.slots
        + ((slot.sequence - 1) & u64::from(ring.slot_count - 1)) * u64::from(ring.slot_bytes);
    for (index, word) in words.iter().enumerate() {
        write(at + 4 * index as u64, *word);
    }
}
