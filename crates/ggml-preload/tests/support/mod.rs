//! What the tests share: a program that loads llama.cpp dynamically, and traces read back.
//!
//! The linked reference comes from static archives that the build of `llama-cpp-sys-2` left behind. The same archives, linked
//! again as shared libraries in the layout of a llama.cpp build, give a program that runs the very same machine code, in
//! no time.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use orch_log::format::{Record, parse_line};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is two folders up")
}

/// `target/release`, with the profile and the folder that this test was built with.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    let deps = test.parent().expect("in a folder");
    deps.parent()
        .expect("in the folder of the profile")
        .to_owned()
}

/// The library under test.
pub(crate) fn preload_library() -> PathBuf {
    let path = target().join("deps/libggml_preload.so");
    assert!(
        path.is_file(),
        "cargo builds {} before this test",
        path.display()
    );
    path
}

/// The real model that `./test` fetches.
pub(crate) fn model() -> PathBuf {
    let path = std::env::var_os("NUMERIC_PARITY_MODEL")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(
                PathBuf::from(home)
                    .join(".cache/numeric-parity/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            )
        });
    let path = path.filter(|path| path.exists());
    path.expect("no model: run ./test, which fetches it, or set NUMERIC_PARITY_MODEL")
}

/// Runs a command to its end.
pub(crate) fn output_of(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = output_of(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stderr}",
        output.status
    );
    output
}

/// What the build of llama.cpp left behind: headers in `include`, archives in `lib`.
pub(crate) fn llama_build() -> PathBuf {
    let folders = fs::read_dir(target().join("build")).expect("cargo's build folder");
    let built = folders.flatten().filter_map(|folder| {
        let out = folder.path().join("out");
        let made = out
            .join("lib/libllama.a")
            .metadata()
            .ok()?
            .modified()
            .unwrap_or(SystemTime::UNIX_EPOCH);
        folder
            .file_name()
            .to_str()?
            .starts_with("llama-cpp-sys-2-")
            .then_some((made, out))
    });
    built
        .max()
        .expect("the linked capture was built before this test")
        .1
}

/// llama.cpp as shared libraries, made once and kept beside cargo's own files.
pub(crate) fn shared_llama() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(link_shared_llama).clone()
}

fn link_shared_llama() -> PathBuf {
    let build = llama_build();
    let folder = target().join("shared-llama");
    let ready = folder.join("libllama.so");
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if modified(&ready).is_some_and(|made| Some(made) > modified(&build.join("lib/libllama.a"))) {
        return folder;
    }
    // Tests of other processes may do the same; each renames whole files into place.
    let work = target().join(format!("shared-llama.{}", std::process::id()));
    fs::create_dir_all(&work).expect("writable");
    fs::create_dir_all(&folder).expect("writable");
    let libraries: [(&str, &[&str]); 4] = [
        ("ggml-base", &[]),
        ("ggml-cpu", &["ggml-base"]),
        ("ggml", &["ggml-cpu", "ggml-base"]),
        ("llama", &["ggml", "ggml-base"]),
    ];
    for (name, needs) in libraries {
        let output = work.join(format!("lib{name}.so"));
        let mut link = Command::new("c++");
        link.args([
            "-shared",
            "-pthread",
            "-Wl,-z,defs",
            "-Wl,-rpath,$ORIGIN",
            "-o",
        ])
        .arg(&output)
        .arg(format!("-Wl,-soname,lib{name}.so"))
        .arg("-Wl,--whole-archive")
        .arg(build.join(format!("lib/lib{name}.a")))
        .arg("-Wl,--no-whole-archive")
        .arg("-L")
        .arg(&work)
        .args(needs.iter().map(|need| format!("-l{need}")))
        .args(["-ldl", "-lm"]);
        run(&mut link);
    }
    for (name, _) in libraries {
        let file = format!("lib{name}.so");
        fs::rename(work.join(&file), folder.join(&file)).expect("the same file system");
    }
    let _ = fs::remove_dir_all(work);
    folder
}

/// `source` compiled with `flags` against the shared libraries; once for each test file.
pub(crate) fn compile(source: &str, flags: &[&str]) -> PathBuf {
    once(source, flags, "dynamic", |output| {
        let shared = shared_llama();
        run(compiler(source, flags, output)
            .arg("-L")
            .arg(&shared)
            .args(["-lllama", "-lggml", "-lggml-base", "-ldl"])
            .arg(format!("-Wl,-rpath,{}", shared.display())));
    })
}

/// `source` compiled with `flags`, and llama.cpp's archives into the program; once for each test file.
pub(crate) fn compile_static(source: &str, flags: &[&str]) -> PathBuf {
    once(source, flags, "static", |output| {
        let archives = ["llama", "ggml", "ggml-cpu", "ggml-base"]
            .map(|name| llama_build().join(format!("lib/lib{name}.a")));
        run(compiler(source, flags, output)
            .args(archives)
            .args(["-ldl", "-lm"]));
    })
}

fn once(source: &str, flags: &[&str], how: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = Path::new(source)
        .file_stem()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    let test = std::env::current_exe().expect("a running test has a file");
    let test = test.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let output = target()
        .join("tmp")
        .join(format!("{test}-{name}{}-{how}", flags.concat()));
    if !made.contains(&output) {
        fs::create_dir_all(target().join("tmp")).expect("writable");
        make(&output);
        made.push(output.clone());
    }
    output
}

fn compiler(source: &str, flags: &[&str], output: &Path) -> Command {
    let root = root();
    let mut compiler = Command::new("c++");
    compiler
        .args([
            "-std=c++17",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ])
        .arg("-I")
        .arg(root.join("cpp"))
        .arg("-I")
        .arg(root.join("cpp/examples"))
        .arg("-I")
        .arg(llama_build().join("include"))
        .args(flags)
        .arg(root.join(source))
        .arg("-o")
        .arg(output);
    compiler
}

/// Runs a program with the library preloaded, as `parity capture` would. Gives its output, and what the library told.
pub(crate) fn preload(command: &mut Command, trace: &Path) -> (Output, Vec<String>) {
    let status = trace.with_extension("status");
    fs::write(&status, "").expect("writable");
    let output = output_of(
        command
            .env("LD_PRELOAD", preload_library())
            .env("ORCH_LOG_FILE", trace)
            .env("ORCH_LOG_TEAM", "llama.cpp")
            .env("ORCH_LOG_DETAIL", "full")
            .env("PARITY_PRELOAD_STATUS", &status),
    );
    let told = fs::read_to_string(&status).expect("it was written above");
    (output, told.lines().map(str::to_owned).collect())
}

/// A record with all its elements, as the bytes that are on disk.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) record: Record,
    pub(crate) bytes: Vec<u8>,
}

/// All records of a trace in order, with the bytes of their payloads.
pub(crate) fn read(trace: &Path) -> Vec<Tensor> {
    let text = fs::read(trace).unwrap_or_else(|error| panic!("{}: {error}", trace.display()));
    let mut payloads = std::collections::HashMap::<String, Vec<u8>>::new();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let record = parse_line(line).expect("a valid record").record;
            let bytes = record.payload.as_ref().map_or_else(Vec::new, |payload| {
                let file = payloads.entry(payload.file.clone()).or_insert_with(|| {
                    fs::read(trace.with_file_name(&payload.file)).expect("a payload file")
                });
                let start = usize::try_from(payload.offset).expect("it is in the file");
                file[start..start + usize::try_from(payload.nbytes).expect("it is in the file")]
                    .to_vec()
            });
            Tensor { record, bytes }
        })
        .collect()
}
