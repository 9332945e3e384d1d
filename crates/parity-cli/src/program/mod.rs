//! `parity capture -- PROGRAM`: runs a program that is not ours with the capture library preloaded.

mod elf;
mod model;
mod notes;
mod verdict;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use notes::Notes;

/// The library, as cargo names it.
const LIBRARY: &str = "libggml_preload.so";

/// What to run, and what to keep of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The program, found as a shell would.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// The trace.
    pub(crate) output: PathBuf,
    /// Settings of the logger, `ORCH_LOG_TEAM` and so on, beyond the file.
    pub(crate) settings: Vec<(&'static str, OsString)>,
    /// Also nodes without a canonical name.
    pub(crate) all: bool,
    /// Also passes that only warm the program up or probe it.
    pub(crate) warm_up: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The program's own exit code, or 128 and the signal that ended it, as a shell has it.
    pub(crate) exit_code: u8,
    /// Traces, in the order in which they were begun; the first is the one asked for.
    pub(crate) traces: Vec<PathBuf>,
    /// What could not be captured although something was.
    pub(crate) problems: Vec<String>,
    /// Why there is no trace at all.
    pub(crate) nothing: Option<String>,
}

/// Runs the program. Its input and output are the caller's. `checksum` makes the SHA-256 of its model once it has ended, or
/// says why not.
///
/// # Errors
///
/// There is no such program, it cannot be captured as it is, or the capture library is missing.
pub(crate) fn run(
    request: &Request,
    checksum: &mut dyn FnMut(&Path) -> Result<String, String>,
) -> Result<Outcome, String> {
    let asked = Path::new(&request.program);
    let program = elf::find(asked).ok_or_else(|| {
        format!(
            "there is no program `{}`: give its path, or put it on PATH",
            asked.display()
        )
    })?;
    if let Some(reason) = verdict::before(&program) {
        return Err(reason);
    }
    let library = library()?;
    let output = std::path::absolute(&request.output).map_err(|error| {
        format!(
            "cannot use `{}` as the trace: {error}",
            request.output.display()
        )
    })?;
    clear(&output)?;
    let status =
        StatusFile::create().map_err(|error| format!("cannot create a temporary file: {error}"))?;

    let mut command = Command::new(&program);
    command
        .args(&request.arguments)
        .env("LD_PRELOAD", preload(&library))
        .env("ORCH_LOG_FILE", &output)
        .env("PARITY_PRELOAD_STATUS", &status.path)
        .envs(request.settings.iter().map(|(name, value)| (name, value)));
    if request.all {
        command.env("PARITY_PRELOAD_ALL", "1");
    }
    if request.warm_up {
        command.env("PARITY_PRELOAD_WARM_UP", "1");
    }
    let ended = command
        .status()
        .map_err(|error| format!("cannot run `{}`: {error}", program.display()))?;

    let mut notes = Notes::parse(&status.read());
    if let Err(problem) = model::describe(&notes.traces, checksum) {
        notes.problems.push(problem);
    }
    let nothing = notes
        .traces
        .is_empty()
        .then(|| verdict::after(&program, &notes));
    Ok(Outcome {
        exit_code: exit_code(ended),
        traces: notes.traces,
        problems: notes.problems,
        nothing,
    })
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The capture library: beside this executable, where it is installed, or where cargo leaves it while building.
fn library() -> Result<PathBuf, String> {
    let executable = std::env::current_exe()
        .map_err(|error| format!("cannot tell where this executable is: {error}"))?;
    let folder = executable.parent().unwrap_or(Path::new("."));
    let places = ["", "deps", "../lib"].map(|place| folder.join(place).join(LIBRARY));
    // Cargo may leave an older one beside a newer one.
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let library = places.into_iter().filter(|path| path.is_file()).max_by_key(age).ok_or_else(|| {
        format!(
            "`{LIBRARY}` is not beside this executable in `{}`: build it with `cargo build --release -p ggml-preload`, \
             or copy it there",
            folder.display()
        )
    })?;
    // The loader takes both for the end of a name.
    if library
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|byte| matches!(byte, b' ' | b':'))
    {
        return Err(format!(
            "the loader cannot preload `{}`, whose path has a space or a colon: move this executable and the library",
            library.display()
        ));
    }
    Ok(library)
}

/// Ours first; what else was to be preloaded stays.
fn preload(library: &Path) -> OsString {
    let mut value = OsString::from(library);
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    value
}

/// Makes room for a new trace, so that what is there afterwards is of this run. Also tells an unusable path before the
/// program has run.
fn clear(output: &Path) -> Result<(), String> {
    let unusable =
        |error: io::Error| format!("cannot write the trace `{}`: {error}", output.display());
    let special = output.metadata().is_ok_and(|data| !data.is_file());
    if special {
        return Err(format!(
            "cannot write the trace `{}`: not a file",
            output.display()
        ));
    }
    std::fs::File::create(output).map_err(unusable)?;
    std::fs::remove_file(output).map_err(unusable)
}

/// Where the library tells what happened; removed in the end.
struct StatusFile {
    path: PathBuf,
}

impl StatusFile {
    fn create() -> io::Result<Self> {
        let pid = std::process::id();
        for attempt in 0..1000 {
            let path = std::env::temp_dir().join(format!("parity-preload-{pid}-{attempt}"));
            match std::fs::File::create_new(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn read(&self) -> String {
        std::fs::read(&self.path)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
