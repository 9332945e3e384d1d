//! The ring, counters, kernels and lanes of one CUDA context.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::buffers::{Deliveries, HostBuffers};
use super::cache::Cache;
use super::capture::Capture;
use super::driver::{
    ATTRIBUTE_MAJOR, ATTRIBUTE_MINOR, ATTRIBUTE_READS_HOST, Driver, HOST_PORTABLE_AND_MAPPED,
    Handle, INVALID_VALUE, OUT_OF_MEMORY, POINTER_MEMORY_TYPE, STREAM_NON_BLOCKING, check,
};
use super::error::Error;
use super::lane::{Lane, MAX_LANES};
use super::nvrtc::Binary;
use super::program::Program;
use super::settings::DeviceSettings;
use super::sites::Sites;
use super::slot::{MAX_FIRST, Ring, image_bytes};
use super::state::State;

/// CUDA as the logger uses it; tests put a device of their own in its place.
pub(super) struct Backend {
    pub(super) driver: Driver,
    pub(super) compiler: Compiler,
    pub(super) cache: Option<Cache>,
    /// Whether the engine has said that it ends its passes; see [`count_steps`](super::count_steps).
    pub(super) counts_steps: &'static AtomicBool,
}

/// What makes kernels.
#[derive(Clone, Copy)]
pub(super) struct Compiler {
    pub(super) version: fn() -> Result<String, String>,
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
    pub(super) losses: Losses,
    /// Records that the device was asked for outside of graphs.
    pub(super) launched: AtomicU64,
    /// Set once something was captured: how often a graph is replayed the engine alone knows.
    pub(super) has_captured: AtomicBool,
    /// What the host tells the device and the other way round: records read so far, then for each lane how long its passes have
    /// waited. As the host sees it, and as the device does.
    mailbox: (*const u8, u64),
    pub(super) arch: i32,
    /// Whether the device reads all of the host's memory.
    reads_host: bool,
    own_stream: Handle,
}

/// What was lost before the device was asked for it, since the reader has looked.
#[derive(Default)]
pub(super) struct Losses {
    /// Payloads that no snapshot could be taken of.
    pub(super) payloads_without_room: AtomicU64,
    /// Tensors that were put off and could then not be read.
    pub(super) failed: AtomicU64,
    /// Tensors that were put off in a pass that did not end.
    pub(super) without_end: AtomicU64,
}

// SAFETY: CUDA's handles may be used from any thread; `slots` and `mailbox` are memory for good that is read with volatile
// or atomic loads.
unsafe impl Send for Device {}
// SAFETY: as above; what changes is atomic or behind the mutex.
unsafe impl Sync for Device {}

/// Makes a context current, and allows this thread calls that a stream capture forbids by default (allocating
/// memory for ourselves, which no captured work depends on).
pub(super) struct Entered<'a> {
    driver: &'a Driver,
    mode: i32,
    was_current: bool,
}

impl<'a> Entered<'a> {
    pub(super) fn new(driver: &'a Driver, context: Handle) -> Result<Self, Error> {
        let mut current = ptr::null_mut();
        // SAFETY: room for the handle.
        let code = unsafe { (driver.context_get_current)(&mut current) };
        let was_current = code == 0 && current == context;
        if !was_current {
            // SAFETY: a context of the engine's.
            check(unsafe { (driver.context_push)(context) })?;
        }
        let mut mode = super::driver::CAPTURE_MODE_RELAXED;
        // SAFETY: room for the mode before.
        unsafe { (driver.exchange_capture_mode)(&mut mode) };
        Ok(Self {
            driver,
            mode,
            was_current,
        })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut context = ptr::null_mut();
        // SAFETY: takes back what `new` did.
        unsafe {
            (self.driver.exchange_capture_mode)(&mut self.mode);
            if !self.was_current {
                (self.driver.context_pop)(&mut context);
            }
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
            losses: Losses::default(),
            launched: AtomicU64::new(0),
            has_captured: AtomicBool::new(false),
            mailbox: (ptr::null(), 0),
            arch: 0,
            reads_host: false,
            own_stream: ptr::null_mut(),
        };
        let attributes = [ATTRIBUTE_MAJOR, ATTRIBUTE_MINOR, ATTRIBUTE_READS_HOST];
        let [major, minor, reads_host] = attributes_of_current(driver, attributes)?;
        device.arch = 10 * major + minor;
        device.reads_host = reads_host != 0;
        // SAFETY: room for the handle.
        check(unsafe { (driver.stream_create)(&mut device.own_stream, STREAM_NON_BLOCKING) })?;
        let slot_bytes = image_bytes(values, 8).next_multiple_of(64);
        let (slots, mapped) = device.host_memory(settings.slots as usize * slot_bytes as usize)?;
        let counters = device.memory(256)?;
        device.clear(counters, 256)?;
        device.mailbox = device.host_memory(8 * (1 + MAX_LANES))?;
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
        let registered =
            check(unsafe { (driver.host_register)(host, bytes, HOST_PORTABLE_AND_MAPPED) });
        if registered.is_err() {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { libc::munmap(host, bytes) };
        }
        registered?;
        let mut mapped = 0;
        // SAFETY: memory that was registered as mapped, and room for the address.
        check(unsafe { (driver.host_device_pointer)(&mut mapped, host, 0) })?;
        Ok((host.cast::<u8>().cast_const(), mapped))
    }

    /// Host buffers for passes of a lane of up to `nbytes`, known to the reader from here on.
    pub(super) fn host_buffers(&self, lane: u32, nbytes: u64) -> Result<HostBuffers, Error> {
        // Half as much again: passes of a growing context need a little more each time.
        let bytes = (nbytes + nbytes / 2).next_multiple_of(4096);
        let left = self.settings.buffer_bytes;
        let left = left.saturating_sub(self.deliveries.bytes());
        let wanted = HostBuffers::count_for(bytes, left);
        // So much may not be there to be had; the fewest will do.
        let buffers = self
            .buffers_of(bytes, wanted)
            .or_else(|_| self.buffers_of(bytes, HostBuffers::LEAST))?;
        self.deliveries.add(lane, buffers);
        Ok(buffers)
    }

    fn buffers_of(&self, bytes: u64, count: u64) -> Result<HostBuffers, Error> {
        let (data, device_data) = self.host_memory((bytes * count) as usize)?;
        let (words, device_words) = self.host_memory(HostBuffers::words_bytes(count))?;
        Ok(HostBuffers {
            data,
            bytes,
            count,
            words: words.cast(),
            device_data,
            device_words,
        })
    }

    fn mail(&self, index: usize) -> &AtomicU64 {
        // SAFETY: that many aligned numbers, alive for good, which the device reads and writes too.
        unsafe { AtomicU64::from_ptr(self.mailbox.0.cast::<u64>().add(index).cast_mut()) }
    }

    /// Tells the device that the first `records` have been read.
    pub(super) fn set_read(&self, records: u64) {
        self.mail(0).store(records, Ordering::Relaxed);
    }

    /// Where the device finds that.
    pub(super) fn read_address(&self) -> u64 {
        self.mailbox.1
    }

    /// Where passes of a lane add the nanoseconds that they wait for the host.
    pub(super) fn waited_address(&self, lane: u32) -> u64 {
        self.mailbox.1 + 8 * (1 + u64::from(lane))
    }

    /// Nanoseconds that passes have waited for the host.
    pub(super) fn waited_ns(&self) -> u64 {
        let lanes = (0..MAX_LANES).map(|lane| self.mail(1 + lane).load(Ordering::Relaxed));
        lanes.sum()
    }

    /// Zeros in device memory, without touching any stream of the engine.
    pub(super) fn clear(&self, address: u64, bytes: usize) -> Result<(), Error> {
        let driver = &self.backend.driver;
        // SAFETY: memory of ours, and a stream of ours.
        unsafe {
            check((driver.set_bytes)(address, 0, bytes, self.own_stream))?;
            check((driver.stream_synchronize)(self.own_stream))?;
        }
        Ok(())
    }

    /// Copies `rows`, plain numbers, to device memory of ours, without touching any stream of the engine.
    fn fill<T: Copy>(&self, table: u64, rows: &[T]) -> Result<(), Error> {
        let driver = &self.backend.driver;
        let (from, nbytes) = (rows.as_ptr().cast(), size_of_val(rows));
        // SAFETY: memory of ours with room for them, and a stream of ours.
        unsafe {
            check((driver.copy_to_device)(
                table,
                from,
                nbytes,
                self.own_stream,
            ))?;
            check((driver.stream_synchronize)(self.own_stream))?;
        }
        Ok(())
    }

    /// Whether CUDA knows what lies at `address`.
    fn knows(&self, address: u64) -> bool {
        let mut kind = 0u32;
        let kind = ptr::from_mut(&mut kind).cast();
        // SAFETY: room for the number that this attribute is.
        let code = unsafe {
            (self.backend.driver.pointer_get_attribute)(kind, POINTER_MEMORY_TYPE, address)
        };
        code != INVALID_VALUE
    }

    /// Whether the device can read what lies at `address`, as far as CUDA knows.
    pub(super) fn can_read(&self, address: u64) -> bool {
        self.reads_host || self.knows(address)
    }

    /// Notes that the device was asked for `records`, or is at each replay of what is captured.
    pub(super) fn expect(&self, capture: &Capture, records: u64) {
        if capture.is_active() {
            self.has_captured.store(true, Ordering::Relaxed);
        } else {
            self.launched.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Counts what was put off for passes that have not ended: the process ends.
    pub(super) fn give_up(&self) {
        // Whoever holds it may be stopped for good.
        if let Ok(mut state) = self.state.try_lock() {
            state.give_up(self, |_| true);
        }
    }

    /// Waits for everything that the context's streams were given.
    pub(super) fn synchronize(&self) -> Result<(), Error> {
        // The ring was made known to the context: one that is gone has taken that with it.
        if !self.knows(self.slots.addr() as u64) {
            return Ok(());
        }
        let _entered = self.enter()?;
        // SAFETY: a context is current.
        Ok(check(unsafe {
            (self.backend.driver.context_synchronize)()
        })?)
    }
}

impl Lane {
    /// Device memory that holds `rows`, plain numbers, for as long as the lane's graph may be replayed. What a graph that is
    /// gone has left is used again.
    pub(super) fn table<T: Copy>(&mut self, device: &Device, rows: &[T]) -> Result<u64, Error> {
        let nbytes = size_of_val(rows);
        let left = &self.tables[self.tables_used..];
        let at = match left.iter().position(|(_, room)| *room >= nbytes) {
            Some(index) => self.tables_used + index,
            None => {
                let room = nbytes.next_power_of_two();
                self.tables.push((device.memory(room)?, room));
                self.tables.len() - 1
            }
        };
        self.tables.swap(self.tables_used, at);
        let (table, _) = self.tables[self.tables_used];
        self.tables_used += 1;
        device.fill(table, rows)?;
        Ok(table)
    }
}

fn attributes_of_current<const N: usize>(
    driver: &Driver,
    attributes: [i32; N],
) -> Result<[i32; N], Error> {
    let mut device = 0;
    // SAFETY: room for a number.
    check(unsafe { (driver.context_get_device)(&mut device) })?;
    let mut values = [0; N];
    for (value, attribute) in values.iter_mut().zip(attributes) {
        // SAFETY: room for a number.
        check(unsafe { (driver.device_get_attribute)(value, attribute, device) })?;
    }
    Ok(values)
}
