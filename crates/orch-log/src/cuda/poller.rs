//! The thread that empties the rings of all contexts.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{ptr, thread};

use super::cache::Cache;
use super::device::{Backend, Compiler, Device, Entered};
use super::driver::{Driver, Handle, check};
use super::error::Error;
use super::log::COUNTS_STEPS;
use super::nvrtc;
use super::reader::Reader;
use super::settings::DeviceSettings;
use crate::recorder::{Loss, Recorder, process_id};
use crate::settings::Values;

/// Contexts of one process that can be logged from.
const MAX_DEVICES: usize = 64;
/// How long the thread sleeps when there was nothing to do.
const PAUSE: Duration = Duration::from_micros(50);

/// All contexts and the thread that reads them. Like the recorder it is never destroyed.
pub(super) struct Poller {
    backend: Result<Backend, Error>,
    devices: [AtomicPtr<Device>; MAX_DEVICES],
    readers: Mutex<Vec<Reader>>,
    starting: Mutex<Vec<(u64, Error)>>,
    stopping: AtomicBool,
    /// The process that the thread is in: CUDA does not survive a fork.
    owner: AtomicU32,
}

/// A poisoned lock protects nothing that a panic could leave half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Poller {
    pub(super) fn instance() -> &'static Self {
        static INSTANCE: OnceLock<Poller> = OnceLock::new();
        INSTANCE.get_or_init(|| Self {
            backend: Driver::of_this_machine()
                .map(|driver| Backend {
                    driver,
                    compiler: Compiler {
                        version: nvrtc::version,
                        compile: nvrtc::compile,
                    },
                    cache: Cache::from_lookup(|name| std::env::var_os(name)),
                    counts_steps: &COUNTS_STEPS,
                })
                .map_err(Error::Unavailable),
            devices: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_DEVICES],
            readers: Mutex::default(),
            starting: Mutex::default(),
            stopping: AtomicBool::new(false),
            owner: AtomicU32::new(0),
        })
    }

    /// The context of `stream`, made known when first asked for.
    pub(super) fn device(
        &'static self,
        recorder: &'static Recorder,
        stream: Handle,
    ) -> Result<&'static Device, Error> {
        let backend = self.backend.as_ref().map_err(Clone::clone)?;
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != 0 && owner != process_id() {
            return Err(Error::Unavailable(
                "after a fork the child has no CUDA".to_owned(),
            ));
        }
        let (mut context, mut id) = (ptr::null_mut(), 0);
        // SAFETY: a stream of the engine's, and room for what is asked.
        unsafe {
            check((backend.driver.stream_get_context)(stream, &mut context))?;
            check((backend.driver.context_get_id)(context, &mut id))?;
        }
        for device in &self.devices {
            // SAFETY: null, or from `Box::leak` in `start`.
            let Some(device) = (unsafe { device.load(Ordering::Acquire).as_ref() }) else {
                break;
            };
            if device.id == id {
                return Ok(device);
            }
        }
        self.start(backend, recorder, context, id)
    }

    #[cold]
    fn start(
        &'static self,
        backend: &'static Backend,
        recorder: &'static Recorder,
        context: Handle,
        id: u64,
    ) -> Result<&'static Device, Error> {
        let mut failed = lock(&self.starting);
        if let Some((_, error)) = failed.iter().find(|(of, _)| *of == id) {
            return Err(error.clone());
        }
        let mut places = self.devices.iter();
        let place = places.find(|place| {
            let known = place.load(Ordering::Acquire);
            // SAFETY: as in `device`.
            known.is_null() || unsafe { &*known }.id == id
        });
        let Some(place) = place else {
            return Err(Error::TooMany);
        };
        // SAFETY: as in `device`.
        if let Some(device) = unsafe { place.load(Ordering::Acquire).as_ref() } {
            return Ok(device);
        }
        let made = self.make(backend, recorder, context, id);
        match made {
            Ok(device) => {
                place.store(ptr::from_ref(device).cast_mut(), Ordering::Release);
                Ok(device)
            }
            Err(error) => {
                failed.push((id, error.clone()));
                Err(error)
            }
        }
    }

    fn make(
        &'static self,
        backend: &'static Backend,
        recorder: &'static Recorder,
        context: Handle,
        id: u64,
    ) -> Result<&'static Device, Error> {
        let (settings, problems) = DeviceSettings::from_lookup(|name| std::env::var_os(name));
        if !problems.is_empty() {
            crate::global::complain(&problems);
        }
        let values = match recorder.settings().values {
            Values::First(count) => count,
            Values::All => usize::MAX,
        };
        let device: &'static Device = {
            let _entered = Entered::new(&backend.driver, context)?;
            Box::leak(Box::new(Device::create(
                backend, context, id, settings, values,
            )?))
        };
        lock(&self.readers).push(Reader::new(device, recorder));
        self.start_thread()?;
        Ok(device)
    }

    fn start_thread(&'static self) -> Result<(), Error> {
        let this = process_id();
        if self.owner.swap(this, Ordering::Relaxed) == this {
            return Ok(());
        }
        thread::Builder::new()
            .name("orch-log-cuda".to_owned())
            .spawn(|| self.poll())
            .map_err(|error| Error::Unavailable(format!("no thread: {error}")))?;
        extern "C" fn at_exit() {
            Poller::instance().at_exit();
        }
        // SAFETY: a function for good. Registered after CUDA's own, so that it runs before CUDA unmaps the rings.
        unsafe { libc::atexit(at_exit) };
        Ok(())
    }

    fn poll(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            if self.drain(false) == 0 {
                thread::sleep(PAUSE);
            }
        }
    }

    /// What the engine left running may still log for a moment; it is not waited for if it does not.
    fn at_exit(&self) {
        if self.owner.load(Ordering::Relaxed) != process_id() {
            return;
        }
        self.stopping.store(true, Ordering::Release);
        let (mut quiet, mut tries) = (0, 0);
        while quiet < 3 && tries < 1000 {
            quiet = if self.drain(false) == 0 { quiet + 1 } else { 0 };
            tries += 1;
            thread::sleep(Duration::from_millis(1));
        }
        for reader in lock(&self.readers).iter_mut() {
            reader.device().give_up();
            reader.end();
        }
    }

    fn drain(&self, last_chance: bool) -> usize {
        let mut readers = lock(&self.readers);
        readers
            .iter_mut()
            .map(|reader| reader.drain(last_chance))
            .sum()
    }

    /// Nanoseconds that passes of all contexts have waited for the host.
    pub(super) fn waited_ns(&self) -> u64 {
        let readers = lock(&self.readers);
        readers
            .iter()
            .map(|reader| reader.device().waited_ns())
            .sum()
    }

    /// Waits until the devices have finished and all that they logged is in the trace.
    pub(super) fn finish(&self) {
        if self.owner.load(Ordering::Relaxed) != process_id() {
            return;
        }
        let devices: Vec<_> = lock(&self.readers).iter().map(Reader::device).collect();
        for device in devices {
            // A device that fails has said all that it will: what arrived is written.
            let _ = device.synchronize();
        }
        self.drain(true);
    }
}

/// Counts a tensor that could not be logged, and says once why nothing can be.
pub(super) fn tell(recorder: &Recorder, error: &Error) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let why = match error {
        Error::HostMemory => Loss::HOST_MEMORY,
        _ => Loss::DEVICE,
    };
    recorder.lose_records(1, why);
    if let Error::Unavailable(why) = error
        && !TOLD.swap(true, Ordering::Relaxed)
    {
        crate::global::complain(&[format!("tensors in GPU memory are not logged: {why}")]);
    }
}
