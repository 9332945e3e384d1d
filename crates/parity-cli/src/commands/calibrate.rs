//! `parity calibrate`.

use crate::args::Calibrate;
use crate::failure::Failure;
use crate::{output, progress};
use orch_log::Filter;
use parity::judge::Calibration;
use parity::trace::Trace;
use parity::{Options, calibrate, exit_code};
use std::path::Path;

/// Measures the noise between the traces and writes the noise file.
pub(crate) fn run(args: &Calibrate) -> Result<u8, Failure> {
    let runs = || std::iter::once(&args.reference).chain(&args.others);
    output::is_no_input(&args.output, runs().map(AsRef::as_ref))?;
    let reference = Trace::open(&args.reference)?;
    let others = args
        .others
        .iter()
        .map(Trace::open)
        .collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        ..Options::default()
    };
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let mut calibration = Calibration::new(runs().map(|path| name(path)).collect());
    let total = others
        .iter()
        .map(|other| other.len_bytes() + reference.len_bytes())
        .sum();
    let bar = progress::bytes("calibrating", total);
    let mut done = 0;
    for (other, path) in others.iter().zip(&args.others) {
        let mut advance =
            |progress: parity::align::Progress| bar.set_position(done + progress.read_bytes);
        let measured = calibrate(&mut calibration, &reference, other, &options, &mut advance)?;
        if measured == 0 {
            return Err(Failure::NotComparable(format!(
                "`{}` and `{}` have no pair in common that could be measured; `parity compare` says why",
                args.reference.display(),
                path.display()
            )));
        }
        done += other.len_bytes() + reference.len_bytes();
    }
    bar.finish_and_clear();
    std::fs::write(&args.output, calibration.to_toml()).map_err(|error| {
        Failure::message(format!(
            "cannot write the noise file `{}`: {error}",
            args.output.display()
        ))
    })?;
    Ok(exit_code::AGREES)
}
