//! What the run file says of a run.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use orch_log::format::{ModelInfo, Run};
use sha2::{Digest, Sha256};

use super::Config;
use super::generate::Course;
use crate::Error;
use crate::capture::Tally;
use crate::llama::{self, ContextOptions, Gpu, Model};

pub(super) fn describe(
    config: &Config,
    model: &Model,
    sha256: String,
    prompt: &str,
    course: &Course,
    options: &ContextOptions,
    tally: &Tally,
) -> Run {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    let mut settings = vec![
        setting("engine", "llama.cpp".to_owned()),
        setting("kv_type", config.kv_type.name().to_owned()),
        setting("flash_attn", config.flash_attn.name().to_owned()),
        setting("temperature", config.temperature.to_string()),
        setting("seed", config.seed.to_string()),
        setting("forced", config.forced.is_some().to_string()),
        setting("n_ubatch", options.n_ubatch.to_string()),
        setting("n_seq", options.n_seq.to_string()),
        // Programs of llama.cpp's own repack quantised weights, which sums in another order.
        setting("repack", "off".to_owned()),
    ];
    if !tally.hidden_by_fusion.is_empty() {
        let names: Vec<&str> = tally.hidden_by_fusion.iter().map(String::as_str).collect();
        settings.push(setting("hidden_by_fusion", names.join(",")));
    }
    if model.gpu().is_some() {
        let of = format!("{} of {}", model.gpu_layers(), model.n_layer() + 1);
        settings.push(setting("gpu_layers", of));
        let fusion = if llama::fusion_is_on() { "on" } else { "off" };
        settings.push(setting("fusion", fusion.to_owned()));
        let products = llama::products(course.batches.iter().copied());
        settings.push(setting("products", products.to_owned()));
    }
    if let Some(observer) = course.observer {
        let word = if observer.is_exact() {
            "exact"
        } else {
            settings.push(setting("perturbed_by", format!("{:.1e}", observer.worst)));
            "perturbed"
        };
        settings.push(setting("capture", word.to_owned()));
    }
    let path = std::path::absolute(&config.model).unwrap_or_else(|_| config.model.clone());
    Run {
        model: Some(ModelInfo {
            path: path.display().to_string(),
            sha256: Some(sha256),
            architecture: Some(model.architecture()),
            layers: Some(model.n_layer()),
            weights: model.weights(),
        }),
        prompt: Some(prompt.to_owned()),
        tokens: course.sequences[0]
            .tokens
            .iter()
            .map(|id| i64::from(*id))
            .collect(),
        device: Some(model.gpu().map_or_else(|| "cpu".to_owned(), Gpu::label)),
        threads: Some(config.threads),
        settings,
        version: Some(format!("ggml {}", llama::version())),
    }
}

/// SHA-256 of a file, in lower-case hexadecimal. `progress` gets the fraction and says whether to go on.
///
/// # Errors
///
/// The file cannot be read, or `progress` said to stop.
pub fn sha256(path: &Path, progress: &mut dyn FnMut(f32) -> bool) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::io("read model", path))?;
    let length = file
        .metadata()
        .map_err(Error::io("read model", path))?
        .len()
        .max(1);
    let mut hash = Sha256::new();
    let mut block = vec![0u8; 1 << 20];
    let mut done = 0u64;
    loop {
        let n = file
            .read(&mut block)
            .map_err(Error::io("read model", path))?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        done += n as u64;
        if !progress(done as f32 / length as f32) {
            return Err(Error::Cancelled);
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
