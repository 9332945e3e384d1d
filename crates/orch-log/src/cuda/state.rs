//! The lanes and kernels of a context, which the engine's threads share.

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::Ordering;

use super::cache::Key;
use super::device::{Backend, Device};
use super::driver::{Driver, EVENT_WITHOUT_TIME, Handle, STREAM_NON_BLOCKING, check};
use super::error::Error;
use super::lane::{Lane, Lease, MAX_LANES, Nodes, PutOff, Side, StreamId};
use super::nvrtc::Binary;
use super::program::{Common, Program, Type};
use super::slot::{COUNTER_BYTES, MAX_BLOCKS, PARTIAL_BYTES, Scratch};

/// What the engine's threads share.
#[derive(Default)]
pub(super) struct State {
    pub(super) lanes: Vec<Lane>,
    programs: Vec<(Program, Result<Vec<Handle>, Error>)>,
}

// SAFETY: handles and device addresses, see `Device`.
unsafe impl Send for State {}

impl State {
    /// The lane of a stream, or of the capture that it is in.
    pub(super) fn lane(
        &mut self,
        device: &Device,
        stream: Handle,
        capture: u64,
    ) -> Result<&mut Lane, Error> {
        let id = StreamId::of(stream);
        let is_it = |lane: &Lane| lane.id == id && lane.capture == capture;
        let index = match self.lanes.iter().rposition(is_it) {
            Some(index) => index,
            None => self.new_lane(device, stream, capture)?,
        };
        Ok(&mut self.lanes[index])
    }

    #[cold]
    fn new_lane(&mut self, device: &Device, stream: Handle, capture: u64) -> Result<usize, Error> {
        // A stream is in one capture at a time: those before are over.
        let id = StreamId::of(stream);
        self.give_up(device, |lane| lane.id == id && lane.capture != 0);
        let free = self.lanes.iter().position(Lane::is_free);
        if let Some(index) = free.filter(|_| capture != 0) {
            self.give_up(device, |lane| lane.is_free());
            self.lanes[index].begin_again(stream, capture);
            return Ok(index);
        }
        if self.lanes.len() == MAX_LANES {
            return Err(Error::TooMany);
        }
        let lane = Lane::create(device, stream, capture, self.lanes.len() as u32)?;
        self.lanes.push(lane);
        Ok(self.lanes.len() - 1)
    }

    /// Counts what was put off for passes that have not ended and will not.
    pub(super) fn give_up(&mut self, device: &Device, is_over: impl Fn(&Lane) -> bool) {
        for lane in self.lanes.iter_mut().filter(|lane| is_over(lane)) {
            let lost = std::mem::take(&mut lane.put_off.entries).len() as u64;
            device.losses.without_end.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// The first kernel of `program`.
    pub(super) fn kernel(&mut self, device: &Device, program: Program) -> Result<Handle, Error> {
        self.kernel_of(device, program, 0)
    }

    /// Kernel `index` of `program`, which is compiled when it is first asked for.
    fn kernel_of(
        &mut self,
        device: &Device,
        program: Program,
        index: usize,
    ) -> Result<Handle, Error> {
        let known = self.programs.iter().position(|(of, _)| *of == program);
        let at = known.unwrap_or_else(|| {
            self.programs.push((program, load(device, program)));
            self.programs.len() - 1
        });
        self.programs[at]
            .1
            .as_ref()
            .map(|kernels| kernels[index])
            .map_err(Clone::clone)
    }

    /// A kernel that reads no elements.
    pub(super) fn common_kernel(
        &mut self,
        device: &Device,
        kernel: Common,
    ) -> Result<Handle, Error> {
        self.kernel_of(device, Program::Common, kernel as usize)
    }

    /// The kernel for tensors of this type.
    pub(super) fn tensor_kernel(
        &mut self,
        device: &Device,
        of: Type,
        plain: bool,
    ) -> Result<Handle, Error> {
        let program = if plain {
            Program::Plain(of)
        } else {
            Program::Strided(of)
        };
        self.kernel(device, program)
    }
}

/// The kernels of `program`: from the cache, or compiled, which takes seconds.
fn load(device: &Device, program: Program) -> Result<Vec<Handle>, Error> {
    let Backend {
        driver,
        compiler,
        cache,
        ..
    } = device.backend;
    let version = (compiler.version)().map_err(Error::Unavailable)?;
    let cache = cache
        .as_ref()
        .map(|cache| (cache, Key::new(program, device.arch, &version)));
    if let Some(binary) = cache.and_then(|(cache, key)| cache.get(key))
        && let Ok(kernels) = load_binary(driver, &binary)
        && kernels.len() == program.kernels().len()
    {
        return Ok(kernels);
    }
    let binary = (compiler.compile)(program, device.arch).map_err(Error::Unavailable)?;
    let kernels = load_binary(driver, &binary)?;
    if let Some((cache, key)) = cache {
        cache.put(key, &binary);
    }
    Ok(kernels)
}

fn load_binary(driver: &Driver, binary: &Binary) -> Result<Vec<Handle>, Error> {
    let mut module = ptr::null_mut();
    // SAFETY: a whole image of the compiler's, alive during the call. PTX ends with a zero byte, as it should.
    check(unsafe { (driver.module_load)(&mut module, binary.image.as_ptr().cast()) })?;
    let find = |name: &CString| {
        let mut kernel = ptr::null_mut();
        // SAFETY: the module just loaded, never unloaded, and a terminated string.
        check(unsafe { (driver.module_get_function)(&mut kernel, module, name.as_ptr()) })?;
        Ok(kernel)
    };
    binary.kernels.iter().map(find).collect()
}

impl Lane {
    fn create(device: &Device, stream: Handle, capture: u64, index: u32) -> Result<Self, Error> {
        let partials = PARTIAL_BYTES * MAX_BLOCKS as usize;
        let scratch = device.memory(partials + COUNTER_BYTES)?;
        let counters = scratch + partials as u64;
        device.clear(counters, COUNTER_BYTES)?;
        Ok(Self {
            stream,
            id: StreamId::of(stream),
            capture,
            lease: Lease::NotAsked,
            index,
            scratch: Scratch {
                partials: scratch,
                ticket: counters,
                batch: counters + 192,
            },
            deliver_ticket: counters + 64,
            pass: counters + 128,
            side: None,
            side_is_busy: false,
            nodes: Nodes::none(),
            put_off: PutOff::default(),
            snapshots: 0,
            used: 0,
            delivered: 0,
            buffers: None,
            pieces: Vec::new(),
            tables: Vec::new(),
            tables_used: 0,
        })
    }

    /// The stream beside the engine's, made when first needed.
    pub(super) fn side(&mut self, driver: &Driver) -> Result<Side, Error> {
        if let Some(side) = self.side {
            return Ok(side);
        }
        let (mut stream, mut forked, mut joined) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: room for a handle each.
        unsafe {
            check((driver.stream_create)(&mut stream, STREAM_NON_BLOCKING))?;
            check((driver.event_create)(&mut forked, EVENT_WITHOUT_TIME))?;
            check((driver.event_create)(&mut joined, EVENT_WITHOUT_TIME))?;
        }
        Ok(*self.side.insert(Side {
            stream,
            forked,
            joined,
        }))
    }
}
