//! The functions of CUDA's driver that the logger calls.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::dynamic::{Library, functions};

/// A context, stream, event, graph, node, module or function.
pub(super) type Handle = *mut c_void;

/// A kernel and its launch, `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct KernelNode {
    pub(super) function: Handle,
    pub(super) grid: [c_uint; 3],
    pub(super) block: [c_uint; 3],
    pub(super) shared_bytes: c_uint,
    pub(super) arguments: *mut *mut c_void,
    pub(super) extra: *mut *mut c_void,
    pub(super) kernel: Handle,
    pub(super) context: Handle,
}

pub(super) const ATTRIBUTE_MAJOR: c_int = 75;
pub(super) const ATTRIBUTE_MINOR: c_int = 76;
pub(super) const ATTRIBUTE_READS_HOST: c_int = 88;
/// The kind of memory that a pointer is of.
pub(super) const POINTER_MEMORY_TYPE: c_int = 2;
/// Of a pointer: CUDA does not know it.
pub(super) const INVALID_VALUE: c_int = 1;
pub(super) const CAPTURE_MODE_RELAXED: c_int = 2;
pub(super) const OUT_OF_MEMORY: DriverError = DriverError(2);
pub(super) const CAPTURE_ACTIVE: c_int = 1;
pub(super) const HOST_PORTABLE_AND_MAPPED: c_uint = 1 | 2;
pub(super) const STREAM_NON_BLOCKING: c_uint = 1;
pub(super) const EVENT_WITHOUT_TIME: c_uint = 2;
/// Add to what the stream's next work waits for.
pub(super) const ADD_DEPENDENCIES: c_uint = 0;
/// Replace it.
pub(super) const SET_DEPENDENCIES: c_uint = 1;

/// Nobody waits for a user object's destructor.
pub(super) const NO_DESTRUCTOR_SYNC: c_uint = 1;
/// The graph gets our reference to a user object.
pub(super) const MOVE_USER_OBJECT: c_uint = 1;
/// The stream that each thread has one of, though its handle is the same in all.
pub(super) const STREAM_PER_THREAD: usize = 2;

functions! {
    /// By the names that every driver since CUDA 12.0 exports: versions of a function that came later do the same here.
    struct Driver {
        stream_get_context: "cuStreamGetCtx" (Handle, *mut Handle);
        context_get_id: "cuCtxGetId" (Handle, *mut u64);
        context_get_current: "cuCtxGetCurrent" (*mut Handle);
        context_push: "cuCtxPushCurrent_v2" (Handle);
        context_pop: "cuCtxPopCurrent_v2" (*mut Handle);
        context_get_device: "cuCtxGetDevice" (*mut c_int);
        context_synchronize: "cuCtxSynchronize" ();
        device_get_attribute: "cuDeviceGetAttribute" (*mut c_int, c_int, c_int);
        pointer_get_attribute: "cuPointerGetAttribute" (*mut c_void, c_int, u64);
        exchange_capture_mode: "cuThreadExchangeStreamCaptureMode" (*mut c_int);
        allocate: "cuMemAlloc_v2" (*mut u64, usize);
        host_register: "cuMemHostRegister_v2" (*mut c_void, usize, c_uint);
        host_device_pointer: "cuMemHostGetDevicePointer_v2" (*mut u64, *mut c_void, c_uint);
        set_bytes: "cuMemsetD8Async" (u64, u8, usize, Handle);
        copy_on_device: "cuMemcpyDtoDAsync_v2" (u64, u64, usize, Handle);
        copy_to_device: "cuMemcpyHtoDAsync_v2" (u64, *const c_void, usize, Handle);
        stream_create: "cuStreamCreate" (*mut Handle, c_uint);
        stream_synchronize: "cuStreamSynchronize" (Handle);
        stream_wait_event: "cuStreamWaitEvent" (Handle, Handle, c_uint);
        stream_capture_info: "cuStreamGetCaptureInfo_v2" (Handle, *mut c_int, *mut u64, *mut Handle, *mut *const Handle, *mut usize);
        stream_update_dependencies: "cuStreamUpdateCaptureDependencies" (Handle, *mut Handle, usize, c_uint);
        event_create: "cuEventCreate" (*mut Handle, c_uint);
        event_record: "cuEventRecord" (Handle, Handle);
        module_load: "cuModuleLoadData" (*mut Handle, *const c_void);
        module_get_function: "cuModuleGetFunction" (*mut Handle, Handle, *const c_char);
        launch: "cuLaunchKernel" (
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void
        );
        graph_add_kernel: "cuGraphAddKernelNode_v2" (*mut Handle, Handle, *const Handle, usize, *const KernelNode);
        graph_set_kernel: "cuGraphKernelNodeSetParams_v2" (Handle, *const KernelNode);
        user_object_create: "cuUserObjectCreate" (*mut Handle, *mut c_void, extern "C" fn(*mut c_void), c_uint, c_uint);
        graph_retain_user_object: "cuGraphRetainUserObject" (Handle, Handle, c_uint, c_uint);
        graph_add_dependencies: "cuGraphAddDependencies" (Handle, *const Handle, *const Handle, usize);
    }
}

impl Driver {
    /// The driver of this machine.
    pub(super) fn of_this_machine() -> Result<Self, String> {
        Library::open(&["libcuda.so.1".to_owned(), "libcuda.so".to_owned()])
            .and_then(Self::load)
            .map_err(|error| format!("CUDA's driver: {error}"))
    }
}

/// An error of the driver's, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DriverError(pub(super) i32);

impl std::fmt::Display for DriverError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CUDA error {}", self.0)
    }
}

/// What a function of the driver's returned, as a result.
pub(super) fn check(code: i32) -> Result<(), DriverError> {
    if code == 0 {
        Ok(())
    } else {
        Err(DriverError(code))
    }
}
