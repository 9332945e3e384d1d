//! A device made of host memory: it runs the logger's kernels as the real ones are specified, eagerly or when a graph
//! is replayed, and always as late as what it was told to wait for allows.

mod driver;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cuda::cache::Cache;
use crate::cuda::device::{Backend, Compiler, Device};
use crate::cuda::driver::Handle;
use crate::cuda::nvrtc::Binary;
use crate::cuda::program::Program;
use crate::cuda::settings::{DeviceSettings, Mode};
use driver::DRIVER;
use work::Work;
pub(super) use work::put;

struct Node {
    work: Work,
    waits_for: Vec<usize>,
}

/// All that the fake driver knows. One test at a time.
#[derive(Default)]
pub(super) struct Fake {
    nodes: Vec<Node>,
    /// Of each stream that is being captured what its next work waits for, as addresses of nodes.
    tails: BTreeMap<usize, Vec<usize>>,
    capture: u64,
    captures: u64,
    entered: i32,
    /// The context that is current in the engine's thread, by its address.
    pub(super) current: usize,
    mode: i32,
    pub(super) launches: usize,
    /// Host memory larger than this cannot be made known.
    pub(super) most_registered: Option<usize>,
    /// An address that is not the device's.
    pub(super) host_memory: u64,
    /// A kernel has crashed: none runs any more.
    pub(super) is_dead: bool,
    /// Which compiler this is.
    pub(super) compiler: &'static str,
    /// Programs that it has compiled.
    pub(super) compiled: usize,
    /// Images that the driver does not take.
    pub(super) refused_image: Option<Vec<u8>>,
    /// Calls of the driver's functions.
    pub(super) calls: usize,
    /// Allocations from this one on fail.
    pub(super) memory_ends_after: Option<usize>,
    pub(super) allocations: usize,
    /// What the graph of the last capture keeps.
    objects: Vec<(usize, extern "C" fn(*mut c_void))>,
}

static FAKE: Mutex<Option<Fake>> = Mutex::new(None);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the host does while a pass waits for it.
type Host = Box<dyn FnMut() + Send>;
static HOST: Mutex<Option<Host>> = Mutex::new(None);

fn host_reads() {
    let mut host = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(host) = host.as_mut() {
        host();
    }
}

pub(super) const CONTEXT: Handle = ptr::without_provenance_mut(16);
pub(super) const STREAM: Handle = ptr::without_provenance_mut(64);
pub(super) const OTHER_STREAM: Handle = ptr::without_provenance_mut(72);

pub(super) fn with<R>(work: impl FnOnce(&mut Fake) -> R) -> R {
    let mut fake = FAKE.lock().unwrap_or_else(PoisonError::into_inner);
    work(fake.get_or_insert_default())
}

/// What the logger has added to a graph.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    /// That they wait by.
    pub(super) edges: usize,
    /// Nodes that both the engine and the logger wait for: from there on the two run side by side.
    pub(super) forks: usize,
}

/// A machine with the fake driver, until it is dropped.
pub(super) struct Machine {
    pub(super) backend: &'static Backend,
    _alone: MutexGuard<'static, ()>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        *FAKE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fake::default());
        *HOST.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let backend = Box::leak(Box::new(Backend {
            driver: DRIVER,
            compiler: Compiler {
                version: || Ok(with(|fake| fake.compiler.to_owned())),
                compile,
            },
            cache: None,
            counts_steps: Box::leak(Box::new(AtomicBool::new(true))),
        }));
        Self {
            backend,
            _alone: alone,
        }
    }

    pub(super) fn device(&self, settings: DeviceSettings) -> &'static Device {
        Self::device_of(self.backend, settings)
    }

    /// A device that reads tensors in one way, and is as any other.
    pub(super) fn device_in(&self, mode: Mode) -> &'static Device {
        self.device(DeviceSettings {
            mode,
            ..DeviceSettings::default()
        })
    }

    /// A device whose kernels are kept in `cache`, as a process of its own has it.
    pub(super) fn device_with(&self, cache: &Cache) -> &'static Device {
        let backend = Box::leak(Box::new(Backend {
            cache: Some(cache.clone()),
            driver: self.backend.driver,
            compiler: self.backend.compiler,
            counts_steps: self.backend.counts_steps,
        }));
        Self::device_of(backend, DeviceSettings::default())
    }

    fn device_of(backend: &'static Backend, settings: DeviceSettings) -> &'static Device {
        let device = Device::create(backend, CONTEXT, 7, settings, 10);
        Box::leak(Box::new(device.unwrap()))
    }

    /// What the host does while a pass waits for it.
    pub(super) fn while_waiting(&self, host: impl FnMut() + Send + 'static) {
        *HOST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(host));
    }

    /// Begins capturing [`STREAM`].
    pub(super) fn begin_capture(&self) {
        with(|fake| {
            fake.nodes.clear();
            fake.tails = BTreeMap::from([(STREAM.addr(), Vec::new())]);
            fake.captures += 1;
            fake.capture = fake.captures;
        });
    }

    /// Captures [`OTHER_STREAM`] into the same graph, after what [`STREAM`] has done so far.
    pub(super) fn fork_capture(&self) {
        with(|fake| {
            let tail = fake.tails[&STREAM.addr()].clone();
            fake.tails.insert(OTHER_STREAM.addr(), tail);
        });
    }

    /// Makes [`STREAM`] wait for [`OTHER_STREAM`].
    pub(super) fn join_capture(&self) {
        with(|fake| {
            let other = fake.tails[&OTHER_STREAM.addr()].clone();
            let tail = fake.tails.entry(STREAM.addr()).or_default();
            tail.extend(other);
        });
    }

    /// A kernel of the engine's, captured.
    pub(super) fn engine(&self, kernel: impl Fn(u64) + Send + Sync + 'static) {
        self.engine_in(STREAM, kernel);
    }

    pub(super) fn engine_in(&self, stream: Handle, kernel: impl Fn(u64) + Send + Sync + 'static) {
        with(|fake| fake.submit(stream, Work::Engine(std::sync::Arc::new(kernel))));
    }

    pub(super) fn end_capture(&self) {
        with(|fake| {
            fake.capture = 0;
            fake.tails.clear();
        });
    }

    /// Nobody replays the graph again.
    pub(super) fn destroy_graph(&self) {
        let objects = with(|fake| {
            fake.nodes.clear();
            std::mem::take(&mut fake.objects)
        });
        for (theirs, end) in objects {
            end(ptr::with_exposed_provenance_mut(theirs));
        }
    }

    /// Runs the graph: whatever may come first of the engine's comes first, the logger's as late as possible.
    pub(super) fn replay(&self, number: u64) {
        with(|fake| {
            let mut done = vec![false; fake.nodes.len()];
            for _ in 0..fake.nodes.len() {
                let ready = |node: &usize| {
                    !done[*node] && fake.nodes[*node].waits_for.iter().all(|on| done[*on])
                };
                let is_engine = |node: &usize| matches!(fake.nodes[*node].work, Work::Engine(_));
                let all = 0..fake.nodes.len();
                let next = all
                    .clone()
                    .filter(is_engine)
                    .find(|node| ready(node))
                    .or_else(|| all.rev().find(|node| ready(node)));
                let next = next.expect("nodes wait for each other");
                fake.nodes[next].work.clone().run(number);
                done[next] = true;
            }
        });
    }

    /// What the logger has added to the graph.
    pub(super) fn shape(&self) -> Shape {
        with(|fake| {
            let mut shape = Shape::default();
            let (mut of_engine, mut of_logger) =
                (BTreeSet::<usize>::new(), BTreeSet::<usize>::new());
            for node in &fake.nodes {
                if matches!(node.work, Work::Engine(_)) {
                    of_engine.extend(&node.waits_for);
                } else {
                    shape.nodes += 1;
                    shape.edges += node.waits_for.len();
                    of_logger.extend(&node.waits_for);
                }
            }
            shape.forks = of_engine.intersection(&of_logger).count();
            shape
        })
    }

    /// Whether every context that was entered was left, and the capture mode is as it was.
    pub(super) fn is_as_before(&self) -> bool {
        with(|fake| fake.entered == 0 && fake.mode == 0)
    }
}

impl Fake {
    fn submit(&mut self, stream: Handle, work: Work) {
        self.launches += 1;
        let Some(tail) = self.tails.get_mut(&stream.addr()) else {
            if !self.is_dead {
                work.run(0);
            }
            return;
        };
        let waits_for = tail.iter().map(|node| index(*node)).collect();
        self.nodes.push(Node { work, waits_for });
        *tail = vec![handle(self.nodes.len() - 1).addr()];
    }
}

fn handle(index: usize) -> Handle {
    ptr::without_provenance_mut(8 * (index + 1))
}

fn index(address: usize) -> usize {
    address / 8 - 1
}

fn compile(program: Program, arch: i32) -> Result<Binary, String> {
    with(|fake| fake.compiled += 1);
    let names = program
        .kernels()
        .into_iter()
        .map(|name| CString::new(name).unwrap());
    Ok(Binary {
        image: format!("{program:?} for {arch}\0").into_bytes(),
        kernels: names.collect(),
    })
}

/// Memory for good; `None` where it is to end.
fn memory(bytes: usize) -> Option<u64> {
    with(|fake| {
        fake.allocations += 1;
        fake.memory_ends_after
            .is_none_or(|limit| fake.allocations <= limit)
    })
    .then(|| {
        // Not zeros: whoever needs them must ask for them. Aligned as CUDA aligns.
        let memory = vec![0xa5a5_a5a5_a5a5_a5a5_u64; bytes / 8 + 64].leak();
        (memory.as_mut_ptr().expose_provenance() as u64).next_multiple_of(256)
    })
}
