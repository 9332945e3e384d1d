//! The ring, counters, kernels and lanes of one CUDA context.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::driver::{
    ATTRIBUTE_MAJOR, ATTRIBUTE_MINOR, Driver, HOST_PORTABLE_AND_MAPPED, Handle, OUT_OF_MEMORY,
    STREAM_NON_BLOCKING, check,
};
use super::error::Error;
use super::lane::{Deliveries, HostBuffers, Lane, MAX_LANES, Nodes, Side};
use super::nvrtc::Binary;
use super::program::{Program, Type};
use super::settings::DeviceSettings;
use super::sites::Sites;
use super::slot::{
    COUNTER_BYTES, MAX_BLOCKS, MAX_FIRST, PARTIAL_BYTES, Ring, Scratch, image_bytes,
};

/// CUDA as the logger uses it; tests put a device of their own in its place.
pub(super) struct Backend {
    pub(super) driver: Driver,
    pub(super) compile: fn(Program, i32) -> Result<Binary, String>,
}

/// One context. Made at the first record from it, never destroyed: graphs may be replayed until the process ends.
pub(super) struct Device {
    pub(super) backend: &'static Backend,
    pub(super) context: Handle,
    /// Tells contexts apart that get the same address one after the other.
    pub(super) id: u64,
    pub(super) settings: DeviceSettings,
    /// First elements that a record gets.
    pub(super) values: u32,
    pub(super) ring: Ring,
    /// The ring as the host sees it.
    pub(super) slots: *const u8,
    pub(super) sites: Sites,
    pub(super) deliveries: Deliveries,
    pub(super) state: Mutex<State>,
    /// Set once somebody counts passes, so that records say which one they belong to.
    pub(super) counts_steps: AtomicBool,
    /// Payloads that no snapshot could be taken of.
    pub(super) payloads_lost: AtomicU64,
    arch: i32,
    own_stream: Handle,
}

// SAFETY: CUDA's handles may be used from any thread, and `slots` is memory for good that is read with volatile loads.
unsafe impl Send for Device {}
// SAFETY: as above; what changes is atomic or behind the mutex.
unsafe impl Sync for Device {}

/// What the engine's threads share.
#[derive(Default)]
pub(super) struct State {
    lanes: Vec<Lane>,
    programs: Vec<(Program, Result<Vec<Handle>, Error>)>,
}

// SAFETY: handles and device addresses, see `Device`.
unsafe impl Send for State {}

/// Makes a context current, and allows this thread calls that a stream capture forbids by default (allocating
/// memory for ourselves, which no captured work depends on).
pub(super) struct Entered<'a> {
    driver: &'a Driver,
    mode: i32,
}

impl<'a> Entered<'a> {
    pub(super) fn new(driver: &'a Driver, context: Handle) -> Result<Self, Error> {
        // SAFETY: a context of the engine's.
        check(unsafe { (driver.context_push)(context) })?;
        let mut mode = super::driver::CAPTURE_MODE_RELAXED;
        // SAFETY: room for the mode before.
        unsafe { (driver.exchange_capture_mode)(&mut mode) };
        Ok(Self { driver, mode })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut context = ptr::null_mut();
        // SAFETY: takes back what `new` did.
        unsafe {
            (self.driver.exchange_capture_mode)(&mut self.mode);
            (self.driver.context_pop)(&mut context);
        }
    }
}

impl Device {
    /// Of `context`, which is current. Nothing of the engine's is waited for: memory is cleared in a stream of our own.
    pub(super) fn create(
        backend: &'static Backend,
        context: Handle,
        id: u64,
        settings: DeviceSettings,
        values: usize,
    ) -> Result<Self, Error> {
        let driver = &backend.driver;
        let values = u32::try_from(values).unwrap_or(u32::MAX).min(MAX_FIRST);
        let mut device = Self {
            backend,
            context,
            id,
            settings,
            values,
            ring: Ring::default(),
            slots: ptr::null(),
            sites: Sites::default(),
            deliveries: Deliveries::default(),
            state: Mutex::default(),
            counts_steps: AtomicBool::new(false),
            payloads_lost: AtomicU64::new(0),
            arch: arch_of_current(driver)?,
            own_stream: ptr::null_mut(),
        };
        // SAFETY: room for the handle.
        check(unsafe { (driver.stream_create)(&mut device.own_stream, STREAM_NON_BLOCKING) })?;
        let slot_bytes = image_bytes(values, 8).next_multiple_of(64);
        let (slots, mapped) = device.host_memory(settings.slots as usize * slot_bytes as usize)?;
        let counters = device.memory(256)?;
        device.clear(counters, 256)?;
        device.slots = slots;
        device.ring = Ring {
            slots: mapped,
            slot_count: settings.slots,
            slot_bytes,
            ticket: counters,
            step: counters + 128,
        };
        Ok(device)
    }

    pub(super) fn enter(&self) -> Result<Entered<'_>, Error> {
        Entered::new(&self.backend.driver, self.context)
    }

    pub(super) fn memory(&self, bytes: usize) -> Result<u64, Error> {
        let mut address = 0;
        // SAFETY: room for the address.
        check(unsafe { (self.backend.driver.allocate)(&mut address, bytes) })?;
        Ok(address)
    }

    /// Zeros in mapped host memory: as the host sees it, and as the device does. Memory of ours rather than CUDA's, which would
    /// be gone with the context while our thread still reads it.
    fn host_memory(&self, bytes: usize) -> Result<(*const u8, u64), Error> {
        let driver = &self.backend.driver;
        // SAFETY: fresh pages at an address of the system's choice; never unmapped.
        let host = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if host == libc::MAP_FAILED {
            return Err(Error::Driver(OUT_OF_MEMORY));
        }
        // SAFETY: whole pages of ours.
        check(unsafe { (driver.host_register)(host, bytes, HOST_PORTABLE_AND_MAPPED) })?;
        let mut mapped = 0;
        // SAFETY: memory that was registered as mapped, and room for the address.
        check(unsafe { (driver.host_device_pointer)(&mut mapped, host, 0) })?;
        Ok((host.cast::<u8>().cast_const(), mapped))
    }

    /// Host buffers of `bytes` each for a lane, known to the reader from here on.
    pub(super) fn host_buffers(&self, lane: u32, bytes: u64) -> Result<HostBuffers, Error> {
        let count = super::lane::BUFFERS;
        let (data, device_data) = self.host_memory((bytes * count) as usize)?;
        let (headers, device_headers) = self.host_memory(16 * count as usize)?;
        let buffers = HostBuffers {
            data,
            bytes,
            headers: headers.cast(),
            device_data,
            device_headers,
        };
        self.deliveries.add(lane, buffers);
        Ok(buffers)
    }

    /// Zeros in device memory, without touching any stream of the engine.
    fn clear(&self, address: u64, bytes: usize) -> Result<(), Error> {
        let driver = &self.backend.driver;
        // SAFETY: memory of ours, and a stream of ours.
        unsafe {
            check((driver.set_bytes)(address, 0, bytes, self.own_stream))?;
            check((driver.stream_synchronize)(self.own_stream))?;
        }
        Ok(())
    }

    /// Waits for everything that the context's streams were given.
    pub(super) fn synchronize(&self) -> Result<(), Error> {
        let _entered = self.enter()?;
        // SAFETY: a context is current.
        Ok(check(unsafe {
            (self.backend.driver.context_synchronize)()
        })?)
    }
}

fn arch_of_current(driver: &Driver) -> Result<i32, Error> {
    let (mut device, mut major, mut minor) = (0, 0, 0);
    // SAFETY: room for a number each.
    unsafe {
        check((driver.context_get_device)(&mut device))?;
        check((driver.device_get_attribute)(
            &mut major,
            ATTRIBUTE_MAJOR,
            device,
        ))?;
        check((driver.device_get_attribute)(
            &mut minor,
            ATTRIBUTE_MINOR,
            device,
        ))?;
    }
    Ok(10 * major + minor)
}

impl State {
    /// The lane of a stream, or of the capture that it is in.
    pub(super) fn lane(
        &mut self,
        device: &Device,
        stream: Handle,
        capture: u64,
    ) -> Result<&mut Lane, Error> {
        let known = self
            .lanes
            .iter()
            .rposition(|lane| lane.stream == stream && lane.capture == capture);
        let index = match known {
            Some(index) => index,
            None => {
                if self.lanes.len() == MAX_LANES {
                    return Err(Error::TooMany);
                }
                let lane = Lane::create(device, stream, capture, self.lanes.len() as u32)?;
                self.lanes.push(lane);
                self.lanes.len() - 1
            }
        };
        Ok(&mut self.lanes[index])
    }

    /// Kernel `index` of `program`, which is compiled when it is first asked for.
    pub(super) fn kernel(
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

    /// The kernel for tensors of this type.
    pub(super) fn tensor_kernel(
        &mut self,
        device: &Device,
        of: Type,
        plain: bool,
    ) -> Result<Handle, Error> {
        self.kernel(device, Program::Tensor(of), usize::from(!plain))
    }
}

fn load(device: &Device, program: Program) -> Result<Vec<Handle>, Error> {
    let binary = (device.backend.compile)(program, device.arch).map_err(Error::Unavailable)?;
    let driver = &device.backend.driver;
    let mut module = ptr::null_mut();
    // SAFETY: a whole image of the compiler's, alive during the call. PTX ends with a zero byte, as it should.
    check(unsafe { (driver.module_load)(&mut module, binary.image.as_ptr().cast()) })?;
    let find = |name: &std::ffi::CString| {
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
            capture,
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
            snapshots: 0,
            used: 0,
            delivered: 0,
            buffers: None,
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
            check((driver.event_create)(
                &mut forked,
                super::driver::EVENT_WITHOUT_TIME,
            ))?;
            check((driver.event_create)(
                &mut joined,
                super::driver::EVENT_WITHOUT_TIME,
            ))?;
        }
        Ok(*self.side.insert(Side {
            stream,
            forked,
            joined,
        }))
    }
}
