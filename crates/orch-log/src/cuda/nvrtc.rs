//! Compiling the device code when it is first needed.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

use super::driver::Handle;
use super::dynamic::{Library, functions};
use super::program::Program;

functions! {
    /// NVRTC, the compiler.
    struct Nvrtc {
        version: "nvrtcVersion" (*mut c_int, *mut c_int);
        create: "nvrtcCreateProgram" (*mut Handle, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
        compile: "nvrtcCompileProgram" (Handle, c_int, *const *const c_char);
        destroy: "nvrtcDestroyProgram" (*mut Handle);
        add_name: "nvrtcAddNameExpression" (Handle, *const c_char);
        lowered_name: "nvrtcGetLoweredName" (Handle, *const c_char, *mut *const c_char);
        log_size: "nvrtcGetProgramLogSize" (Handle, *mut usize);
        log: "nvrtcGetProgramLog" (Handle, *mut c_char);
        binary_size: "nvrtcGetCUBINSize" (Handle, *mut usize);
        binary: "nvrtcGetCUBIN" (Handle, *mut c_char);
        ptx_size: "nvrtcGetPTXSize" (Handle, *mut usize);
        ptx: "nvrtcGetPTX" (Handle, *mut c_char);
        arch_count: "nvrtcGetNumSupportedArchs" (*mut c_int);
        archs: "nvrtcGetSupportedArchs" (*mut c_int);
    }
}

/// The least compute capability that the kernels run on, times ten: they add within a warp in one instruction.
const LEAST_ARCH: i32 = 80;

/// A program as the driver loads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) image: Vec<u8>,
    /// What the kernels are called in it, in the order in which they were asked for.
    pub(super) kernels: Vec<CString>,
}

/// Besides the device.
pub(super) const OPTIONS: [&CStr; 1] = [c"--std=c++17"];

fn nvrtc() -> Result<&'static Nvrtc, String> {
    static NVRTC: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
    NVRTC
        .get_or_init(|| {
            Library::open(&names()).and_then(Nvrtc::load).map_err(|error| {
                format!(
                    "NVRTC: {error}; install CUDA's run-time compiler, or name its folder in LD_LIBRARY_PATH"
                )
            })
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// The compiler's version.
pub(super) fn version() -> Result<String, String> {
    let (mut major, mut minor) = (0, 0);
    let nvrtc = nvrtc()?;
    // SAFETY: room for two numbers.
    let code = unsafe { (nvrtc.version)(&mut major, &mut minor) };
    check(code, "say its version")?;
    Ok(format!("NVRTC {major}.{minor}"))
}

/// `program` compiled for a device of compute capability `arch` (90 for 9.0).
pub(super) fn compile(program: Program, arch: i32) -> Result<Binary, String> {
    if arch < LEAST_ARCH {
        return Err(format!(
            "the device has compute capability {}.{}, the kernels need 8.0",
            arch / 10,
            arch % 10
        ));
    }
    nvrtc()?.compile(&Program::source(), &program.kernels(), arch)
}

/// `LD_LIBRARY_PATH` and the usual folders are the loader's affair; the number follows CUDA's.
fn names() -> Vec<String> {
    let mut names: Vec<String> = (11..=14)
        .rev()
        .map(|major| format!("libnvrtc.so.{major}"))
        .collect();
    names.push("libnvrtc.so.11.2".to_owned());
    names.push("libnvrtc.so".to_owned());
    for root in ["CUDA_HOME", "CUDA_PATH"] {
        if let Ok(root) = std::env::var(root) {
            names.extend(["lib64", "lib"].map(|folder| format!("{root}/{folder}/libnvrtc.so")));
        }
    }
    names.push("/usr/local/cuda/lib64/libnvrtc.so".to_owned());
    names
}

impl Nvrtc {
    fn compile(&self, source: &str, kernels: &[String], arch: i32) -> Result<Binary, String> {
        let text = CString::new(source).map_err(|error| error.to_string())?;
        let mut program = ptr::null_mut();
        let created =
            // SAFETY: terminated strings, no headers, and room for the handle.
            unsafe { (self.create)(&mut program, text.as_ptr(), c"orch_log.cu".as_ptr(), 0, ptr::null(), ptr::null()) };
        check(created, "make a program")?;
        let result = self.translate(program, kernels, arch);
        // SAFETY: made above, and not used after this.
        unsafe { (self.destroy)(&mut program) };
        result
    }

    /// Machine code where this compiler knows the device; for a newer one PTX, which its driver translates.
    fn translate(&self, program: Handle, kernels: &[String], arch: i32) -> Result<Binary, String> {
        let names: Vec<CString> = kernels
            .iter()
            .map(|name| CString::new(name.as_str()).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        for name in &names {
            // SAFETY: a program that is not compiled yet, and a terminated string.
            let code = unsafe { (self.add_name)(program, name.as_ptr()) };
            check(code, "take the name of a kernel")?;
        }
        let known = self.known_archs();
        let newest = known.iter().copied().filter(|known| *known <= arch).max();
        let (is_binary, target) = match newest {
            Some(same) if same == arch => (true, format!("--gpu-architecture=sm_{arch}")),
            Some(older) => (false, format!("--gpu-architecture=compute_{older}")),
            None => return Err(format!("NVRTC does not know compute capability {arch}")),
        };
        let target = CString::new(target).map_err(|error| error.to_string())?;
        let options = [target.as_c_str()].into_iter().chain(OPTIONS);
        let pointers: Vec<_> = options.map(CStr::as_ptr).collect();
        // SAFETY: as many terminated strings as are announced, alive during the call.
        let code = unsafe { (self.compile)(program, pointers.len() as c_int, pointers.as_ptr()) };
        if code != 0 {
            let log = self
                .text(program, self.log_size, self.log)
                .unwrap_or_default();
            let first = String::from_utf8_lossy(&log);
            let first = first
                .lines()
                .find(|line| line.contains("error"))
                .unwrap_or_default();
            return Err(format!(
                "NVRTC cannot compile the kernels (error {code}) {first}"
            ));
        }
        let image = if is_binary {
            self.text(program, self.binary_size, self.binary)?
        } else {
            self.text(program, self.ptx_size, self.ptx)?
        };
        let kernels = names.iter().map(|name| self.lowered(program, name));
        Ok(Binary {
            image,
            kernels: kernels.collect::<Result<_, _>>()?,
        })
    }

    fn lowered(&self, program: Handle, name: &CStr) -> Result<CString, String> {
        let mut lowered = ptr::null();
        // SAFETY: a compiled program, a name that it was given before, and room for a pointer.
        let code = unsafe { (self.lowered_name)(program, name.as_ptr(), &mut lowered) };
        check(code, "name a kernel")?;
        // SAFETY: a terminated string that lives as long as the program.
        Ok(unsafe { CStr::from_ptr(lowered) }.to_owned())
    }

    fn known_archs(&self) -> Vec<i32> {
        let mut count = 0;
        // SAFETY: room for one number.
        if unsafe { (self.arch_count)(&mut count) } != 0 {
            return Vec::new();
        }
        let mut archs = vec![0; count.max(0) as usize];
        // SAFETY: room for as many numbers as it announced.
        if unsafe { (self.archs)(archs.as_mut_ptr()) } != 0 {
            return Vec::new();
        }
        archs
    }

    fn text(
        &self,
        program: Handle,
        size: unsafe extern "C" fn(Handle, *mut usize) -> i32,
        get: unsafe extern "C" fn(Handle, *mut c_char) -> i32,
    ) -> Result<Vec<u8>, String> {
        let mut length = 0;
        // SAFETY: a program of this compiler's, and room for the size.
        let code = unsafe { size(program, &mut length) };
        check(code, "give the size of its output")?;
        let mut bytes = vec![0u8; length];
        // SAFETY: room for as many bytes as it announced.
        let code = unsafe { get(program, bytes.as_mut_ptr().cast()) };
        check(code, "give its output")?;
        Ok(bytes)
    }
}

fn check(code: i32, what: &str) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    Err(format!("NVRTC could not {what} (error {code})"))
}
