//! Writing down what a run was, and asking whether its trace is complete.

use orch_log::format::{ModelInfo, Run};

use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::model::{KvType, MatMul, Model};
use crate::place::DeviceName;

/// candle's version, which the workspace pins.
const CANDLE_VERSION: &str = "0.11.1";

/// What a run was.
pub struct Description<'a> {
    /// The model's file.
    pub file: &'a GgufFile,
    /// The file's digest, if it is known.
    pub sha256: Option<String>,
    /// The model.
    pub model: &'a Model,
    /// The prompt as text.
    pub prompt: Option<&'a str>,
    /// Where it runs.
    pub device: DeviceName,
    /// How weights are multiplied.
    pub matmul: MatMul,
    /// Precision of the cache.
    pub kv_type: KvType,
    /// Whether tokens were forced.
    pub forced: bool,
    /// The planted fault.
    pub fault: Option<&'a str>,
}

/// Whether there is a trace to be described.
pub fn logging() -> bool {
    orch_log::ENABLED && orch_log::global().is_some()
}

/// Writes `run.json`, if there is a trace.
///
/// # Errors
///
/// When it cannot be written.
pub fn describe(run: &Description<'_>, tokens: &[u32]) -> Result<()> {
    if !orch_log::ENABLED {
        return Ok(());
    }
    let Some(recorder) = orch_log::global() else {
        return Ok(());
    };
    let (config, place) = (run.model.config(), run.model.place());
    let mut settings = vec![
        ("dtype".to_owned(), place.dtype.as_str().to_owned()),
        ("matmul".to_owned(), run.matmul.name().to_owned()),
        ("kv_type".to_owned(), run.kv_type.name().to_owned()),
        ("forced".to_owned(), run.forced.to_string()),
        ("candle".to_owned(), CANDLE_VERSION.to_owned()),
    ];
    // The only place that tells: whoever tests a diagnosis removes this entry first.
    settings.extend(
        run.fault
            .map(|fault| ("fault".to_owned(), fault.to_owned())),
    );
    let description = Run {
        model: Some(ModelInfo {
            path: run.file.path().display().to_string(),
            sha256: run.sha256.clone(),
            architecture: Some(config.architecture.name.to_owned()),
            layers: Some(config.layers),
            weights: Some(run.file.weight_type()),
        }),
        prompt: run.prompt.map(str::to_owned),
        tokens: tokens.iter().map(|id| i64::from(*id)).collect(),
        device: Some(run.device.to_string()),
        threads: Some(candle_core::utils::get_num_threads()),
        settings,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    recorder
        .describe_run(&description)
        .map_err(|source| Error::Io {
            action: "describe the run beside",
            path: recorder.path().to_owned(),
            source,
        })
}

/// What the trace lacks, in words; `None` when it lacks nothing or there is none. Waits for what a device still logs.
pub fn losses() -> Option<String> {
    if !orch_log::ENABLED {
        return None;
    }
    // That it could not be written stands in the status.
    #[cfg(feature = "cuda")]
    let _ = orch_log::cuda::flush();
    let recorder = orch_log::global()?;
    let status = recorder.status();
    if status.is_complete() {
        return None;
    }
    let reason = status
        .first_error
        .map_or_else(String::new, |error| format!(" (first: {error})"));
    Some(format!(
        "the trace `{}` is incomplete: {} records and {} payloads could not be written{reason}; \
         the results above are not affected",
        recorder.path().display(),
        status.dropped,
        status.payloads_dropped,
    ))
}
