//! Compiled kernels on the disk.

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::fake::{self, Machine, STREAM};
use super::records::{Trace, tensor};
use crate::cuda::cache::{Cache, Key};
use crate::cuda::enqueue::enqueue;
use crate::cuda::nvrtc::Binary;
use crate::cuda::program::{Program, Type};
use crate::cuda::reader::Reader;
use crate::format::Event;
use crate::settings::Detail;

fn cache_in(folder: &tempfile::TempDir) -> Cache {
    let path = folder.path().join("orch-log/cuda");
    Cache::from_lookup(|name| (name == "ORCH_LOG_CUDA_CACHE").then(|| path.clone().into())).unwrap()
}

fn entries(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(folder.path().join("orch-log/cuda")) else {
        return Vec::new();
    };
    files.map(|file| file.unwrap().path()).collect()
}

/// How many programs a process compiles that logs one tensor.
fn compiled(machine: &Machine, cache: &Cache) -> usize {
    let before = fake::with(|fake| fake.compiled);
    let device = machine.device_with(cache);
    let trace = Trace::new(Detail::Stats);
    let mut reader = Reader::new(device, trace.recorder);
    let (event, data) = (Event::new("x", 0), [1.5f32, -2.0]);
    let at = tensor(&data, Type::F32);
    enqueue(device, Detail::Stats, &event, &at, 0.into(), STREAM).unwrap();
    assert_eq!(reader.drain(false), 1);
    assert!(trace.lines()[0].contains("\"values\":[1.5,-2.0]"));
    fake::with(|fake| fake.compiled) - before
}

#[test]
fn kernels_are_compiled_once() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    let cache = cache_in(&folder);
    assert_eq!([0; 3].map(|_| compiled(&machine, &cache)), [1, 0, 0]);
    let [entry] = &entries(&folder)[..] else {
        panic!("one entry and nothing else: {:?}", entries(&folder));
    };
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(entry), mode(entry.parent().unwrap())), (0o600, 0o700));
    // By another compiler they may come out otherwise.
    fake::with(|fake| fake.compiler = "NVRTC 99.9");
    assert_eq!([0; 2].map(|_| compiled(&machine, &cache)), [1, 0]);
    assert_eq!(entries(&folder).len(), 2);
}

#[test]
fn a_broken_entry_is_written_anew() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    let cache = cache_in(&folder);
    assert_eq!(compiled(&machine, &cache), 1);
    let entry = entries(&folder)[0].clone();
    let whole = fs::read(&entry).unwrap();
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x40;
        fs::write(&entry, &broken).unwrap();
        assert_eq!(compiled(&machine, &cache), 1, "byte {at} was changed");
        assert_eq!(fs::read(&entry).unwrap(), whole);
        fs::write(&entry, &whole[..at]).unwrap();
        assert_eq!(compiled(&machine, &cache), 1, "cut off after {at} bytes");
    }
    assert_eq!(compiled(&machine, &cache), 0);
    // One that this driver does not take.
    fake::with(|fake| fake.refused_image = Some(b"Plain(F32) for 90".to_vec()));
    let device = machine.device_with(&cache);
    let at = tensor(&[1.0f32], Type::F32);
    let event = Event::new("x", 0);
    let outcome = enqueue(device, Detail::Stats, &event, &at, 0.into(), STREAM);
    assert!(outcome.is_err(), "compiled anew it is the same image");
    fake::with(|fake| fake.refused_image = None);
    // One that others may write is not trusted.
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!([0; 2].map(|_| compiled(&machine, &cache)), [1, 0]);
    assert_eq!(entries(&folder).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_as_none() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    // A file is where the folder would be.
    fs::write(folder.path().join("orch-log"), "").unwrap();
    let cache = cache_in(&folder);
    assert_eq!([0; 2].map(|_| compiled(&machine, &cache)), [1, 1]);
}

#[test]
fn entries_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(&folder);
    let keys = [
        Key::new(Program::Common, 90, "NVRTC 13.0"),
        Key::new(Program::Batch, 90, "NVRTC 13.0"),
        Key::new(Program::Common, 80, "NVRTC 13.0"),
        Key::new(Program::Common, 90, "NVRTC 12.9"),
    ];
    let binary = |number: usize| Binary {
        image: vec![0, number as u8, 0],
        kernels: (0..number)
            .map(|kernel| CString::new(format!("kernel_{kernel}")).unwrap())
            .collect(),
    };
    for (number, key) in keys.into_iter().enumerate() {
        assert_eq!(cache.get(key), None);
        cache.put(key, &binary(number));
    }
    for (number, key) in keys.into_iter().enumerate() {
        assert_eq!(cache.get(key), Some(binary(number)));
    }
}

#[test]
fn where_entries_are() {
    let of = |variables: &[(&str, &str)]| {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Cache::from_lookup(|name| variables.get(name).map(OsString::from))
    };
    let at = |path: &str| of(&[("ORCH_LOG_CUDA_CACHE", path)]);
    assert_eq!(of(&[("HOME", "/h")]), at("/h/.cache/orch-log/cuda"));
    assert_eq!(
        of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]),
        at("/x/orch-log/cuda")
    );
    assert_eq!(
        of(&[
            ("HOME", "/h"),
            ("XDG_CACHE_HOME", "x"),
            ("ORCH_LOG_CUDA_CACHE", "")
        ]),
        at("/h/.cache/orch-log/cuda")
    );
    assert_eq!(of(&[("HOME", "/h"), ("ORCH_LOG_CUDA_CACHE", "off")]), None);
    assert_eq!((of(&[]), of(&[("HOME", "h")])), (None, None));
}
