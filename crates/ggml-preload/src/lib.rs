//! A library to preload into a program that uses ggml: captures its forward passes, without a rebuild.
//!
//! `parity capture -- PROGRAM` sets `LD_PRELOAD`; by hand it is
//! `LD_PRELOAD=libggml_preload.so ORCH_LOG_FILE=run.jsonl PROGRAM`. The loader then resolves the program's calls of
//! ggml's scheduler to the functions in [`entry`], which call the real ones and install ggml's own eval callback beside
//! the program's. What happens inside the callback is the crate `ggml-callback`, as for the linked reference.
//!
//! A program that is built with `cpp/orch_log_ggml.hpp` installs the callback itself, through the functions in
//! [`installed`].
//!
//! The program does not notice: its output, its exit code and its numbers stay as they are, nothing is printed, and
//! whatever goes wrong here ends the capture and not the program.
//!
//! Linux on x86-64 with glibc, programs that load ggml dynamically. Elsewhere the library is empty.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod accessors;
mod asked;
mod context;
mod describe;
pub mod entry;
mod files;
mod graph;
mod guarded;
mod hook;
pub mod installed;
mod layout;
mod library;
mod maps;
mod node;
mod origin;
mod process;
mod scheduler;
mod sequences;
mod status;
mod symbols;
mod trace;
