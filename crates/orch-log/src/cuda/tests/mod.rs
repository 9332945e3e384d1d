//! The host's side against a device that the tests play themselves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cache;
mod compile;
mod ends;
mod fake;
mod graphs;
mod passes;
mod payloads;
mod records;
mod ring;
