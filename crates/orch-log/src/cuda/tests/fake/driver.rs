//! The driver's functions.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use super::work::{Work, write};
use super::{Node, handle, index, memory, with};
use crate::cuda::driver::{Driver, Handle, INVALID_VALUE, KernelNode, SET_DEPENDENCIES};

const OUT_OF_MEMORY: i32 = 2;
const INVALID_IMAGE: i32 = 200;

macro_rules! fake {
    ($($name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        // SAFETY of the bodies: arguments are what the driver's functions are documented to get.
        unsafe extern "C" fn $name($($argument: $type),*) -> i32 {
            with(|fake| fake.calls += 1);
            $body
        }
    )*};
}

/// Stores what a function returns through a pointer.
fn store<T>(to: *mut T, value: T) -> i32 {
    // SAFETY: room that the logger gave for it.
    unsafe { to.write(value) };
    0
}

fake! {
    stream_get_context(_stream: Handle, context: *mut Handle) { store(context, super::CONTEXT) }
    context_get_id(_context: Handle, id: *mut u64) { store(id, 7) }
    context_get_current(context: *mut Handle) { store(context, ptr::without_provenance_mut(with(|fake| fake.current))) }
    context_push(_context: Handle) { with(|fake| fake.entered += 1); 0 }
    context_pop(_context: *mut Handle) { with(|fake| fake.entered -= 1); 0 }
    context_get_device(device: *mut c_int) { store(device, 0) }
    context_synchronize() { 0 }
    device_get_attribute(value: *mut c_int, attribute: c_int, _device: c_int) { store(value, if attribute == 75 { 9 } else { 0 }) }
    pointer_get_attribute(kind: *mut c_void, _attribute: c_int, address: u64) {
        if with(|fake| fake.host_memory == address) {
            return INVALID_VALUE;
        }
        store(kind.cast(), 2u32)
    }
    exchange_capture_mode(mode: *mut c_int) {
        // SAFETY: a mode of the logger's.
        let wanted = unsafe { mode.read() };
        store(mode, with(|fake| std::mem::replace(&mut fake.mode, wanted)))
    }
    allocate(address: *mut u64, bytes: usize) { memory(bytes).map_or(OUT_OF_MEMORY, |memory| store(address, memory)) }
    host_register(_host: *mut c_void, bytes: usize, _flags: c_uint) {
        if with(|fake| fake.most_registered.is_some_and(|most| bytes > most)) { OUT_OF_MEMORY } else { 0 }
    }
    host_device_pointer(device: *mut u64, host: *mut c_void, _flags: c_uint) { store(device, host.expose_provenance() as u64) }
    set_bytes(at: u64, byte: u8, bytes: usize, _stream: Handle) { (0..bytes as u64).for_each(|offset| write(at + offset, byte)); 0 }
    copy_on_device(to: u64, from: u64, bytes: usize, stream: Handle) {
        with(|fake| fake.submit(stream, Work::Copy { from, to, nbytes: bytes as u64 }));
        0
    }
    copy_to_device(to: u64, from: *const c_void, bytes: usize, _stream: Handle) {
        // SAFETY: as many bytes as announced, in memory that the fake gave out.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(to as usize).copy_from_nonoverlapping(from.cast(), bytes) };
        0
    }
    stream_create(stream: *mut Handle, _flags: c_uint) { store(stream, ptr::without_provenance_mut(128)) }
    stream_synchronize(_stream: Handle) { 0 }
    stream_wait_event(_stream: Handle, _event: Handle, _flags: c_uint) { 0 }
    stream_capture_info(stream: Handle, status: *mut c_int, id: *mut u64, graph: *mut Handle, nodes: *mut *const Handle, count: *mut usize) {
        with(|fake| {
            let Some(tail) = fake.tails.get(&stream.addr()) else {
                return store(status, 0);
            };
            store(status, 1);
            store(id, fake.capture);
            store(graph, ptr::without_provenance_mut(256));
            // Kept until the next of the stream's work, as CUDA keeps them.
            store(nodes, tail.as_ptr().cast());
            store(count, tail.len())
        })
    }
    stream_update_dependencies(stream: Handle, nodes: *mut Handle, count: usize, flags: c_uint) {
        // SAFETY: as many nodes as announced.
        let nodes = unsafe { std::slice::from_raw_parts(nodes, count) };
        with(|fake| {
            let tail = fake.tails.entry(stream.addr()).or_default();
            if flags == SET_DEPENDENCIES {
                tail.clear();
            }
            tail.extend(nodes.iter().map(|node| node.addr()));
        });
        0
    }
    event_create(event: *mut Handle, _flags: c_uint) { store(event, ptr::without_provenance_mut(512)) }
    event_record(_event: Handle, _stream: Handle) { 0 }
    module_load(module: *mut Handle, image: *const c_void) {
        // SAFETY: images of the fake end with a zero byte.
        let image = unsafe { CStr::from_ptr(image.cast()) };
        if with(|fake| fake.refused_image.as_deref() == Some(image.to_bytes())) {
            return INVALID_IMAGE;
        }
        store(module, ptr::without_provenance_mut(1024))
    }
    module_get_function(kernel: *mut Handle, _module: Handle, name: *const c_char) {
        // SAFETY: a terminated string.
        store(kernel, unsafe { CStr::from_ptr(name) }.to_owned().into_raw().cast())
    }
    launch(
        kernel: Handle, x: c_uint, _y: c_uint, _z: c_uint, _bx: c_uint, _by: c_uint, _bz: c_uint, _shared: c_uint,
        stream: Handle, arguments: *mut *mut c_void, _extra: *mut *mut c_void
    ) {
        let work = Work::of(kernel, x, arguments);
        with(|fake| fake.submit(stream, work));
        0
    }
    graph_add_kernel(node: *mut Handle, _graph: Handle, waits_for: *const Handle, count: usize, params: *const KernelNode) {
        let waits_for = if count == 0 { Vec::new() } else {
            // SAFETY: as many nodes as announced.
            unsafe { std::slice::from_raw_parts(waits_for, count) }.iter().map(|node| index(node.addr())).collect()
        };
        // SAFETY: a node's parameters.
        let params = unsafe { params.read() };
        let work = Work::of(params.function, params.grid[0], params.arguments);
        store(node, with(|fake| {
            fake.launches += 1;
            fake.nodes.push(Node { work, waits_for });
            handle(fake.nodes.len() - 1)
        }))
    }
    graph_set_kernel(node: Handle, params: *const KernelNode) {
        // SAFETY: a node's parameters.
        let params = unsafe { params.read() };
        let work = Work::of(params.function, params.grid[0], params.arguments);
        with(|fake| fake.nodes[index(node.addr())].work = work);
        0
    }
    user_object_create(object: *mut Handle, theirs: *mut c_void, end: extern "C" fn(*mut c_void), _count: c_uint, _flags: c_uint) {
        store(object, with(|fake| {
            fake.objects.push((theirs.expose_provenance(), end));
            handle(fake.objects.len() - 1)
        }))
    }
    graph_retain_user_object(_graph: Handle, _object: Handle, _count: c_uint, _flags: c_uint) { 0 }
    graph_add_dependencies(_graph: Handle, from: *const Handle, to: *const Handle, _count: usize) {
        // SAFETY: one node each, as the logger announces.
        let (from, to) = unsafe { (from.read(), to.read()) };
        with(|fake| fake.nodes[index(to.addr())].waits_for.push(index(from.addr())));
        0
    }
}

pub(super) const DRIVER: Driver = Driver {
    stream_get_context,
    context_get_id,
    context_get_current,
    context_push,
    context_pop,
    context_get_device,
    context_synchronize,
    device_get_attribute,
    pointer_get_attribute,
    exchange_capture_mode,
    allocate,
    host_register,
    host_device_pointer,
    set_bytes,
    copy_on_device,
    copy_to_device,
    stream_create,
    stream_synchronize,
    stream_wait_event,
    stream_capture_info,
    stream_update_dependencies,
    event_create,
    event_record,
    module_load,
    module_get_function,
    launch,
    graph_add_kernel,
    graph_set_kernel,
    user_object_create,
    graph_retain_user_object,
    graph_add_dependencies,
};
