//! The device code as NVRTC sees it. Needs NVRTC, but no GPU.

use crate::cuda::nvrtc;
use crate::cuda::program::{Program, Type};

/// A few programs that together hold all kernels; all types would take a minute.
#[test]
fn the_kernels_compile() {
    let programs = [
        Program::Common,
        Program::Batch,
        Program::Table,
        Program::Plain(Type::F32),
        Program::Strided(Type::F64),
        Program::Plain(Type::Bool),
    ];
    for program in programs {
        match nvrtc::compile(program, 90) {
            Ok(binary) => {
                assert!(
                    binary.image.starts_with(b"\x7fELF"),
                    "{program:?} is no binary"
                );
                assert_eq!(binary.kernels.len(), program.kernels().len());
                for (kernel, name) in program.kernels().iter().zip(&binary.kernels) {
                    let template = kernel.split('<').next().unwrap();
                    assert!(
                        name.to_string_lossy().contains(template),
                        "{kernel} is called {name:?}"
                    );
                }
            }
            Err(error) if error.contains("libnvrtc") && error.contains("install") => {
                // There is no other way to tell whoever reads the output.
                eprintln!("skipped: {error}");
                return;
            }
            Err(error) => panic!("{program:?}: {error}"),
        }
    }
}

#[test]
fn every_type_has_a_program_and_an_old_device_is_refused() {
    for of in Type::ALL {
        for kernel in Program::Plain(of).kernels() {
            let element = kernel.split(['<', '>']).nth(1).unwrap().to_owned();
            let source = Program::source();
            let is_defined = source.contains(&format!("struct {element} "))
                || source.contains(&format!("> {element};"));
            assert!(is_defined, "{kernel}: the device code has no `{element}`");
        }
    }
    let refused = nvrtc::compile(Program::Common, 75).err().unwrap();
    assert_eq!(
        refused,
        "the device has compute capability 7.5, the kernels need 8.0"
    );
}
