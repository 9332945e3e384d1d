//! `NAME.run.json`: what the run was.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The outcome of looking for a run file.
#[derive(Clone, Debug)]
pub enum RunFile {
    /// It was read.
    Found(Box<RunInfo>),
    /// There is none: the checks are weaker without it.
    Missing(PathBuf),
    /// There is one that cannot be used.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// What a run file says; every part is optional, unknown fields are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// Version of the trace format.
    pub format_version: Option<u64>,
    /// Who logged.
    pub team: Option<String>,
    /// UTC.
    pub started_at: Option<String>,
    /// The model file.
    pub model: Option<RunModel>,
    /// The prompt as text.
    pub prompt: Option<String>,
    /// Token ids from position 0 on: those of the prompt, then every pick.
    pub tokens: Option<Vec<i64>>,
    /// What computed: `cpu`, `cuda:0`, …
    pub device: Option<String>,
    /// Threads that computed.
    pub threads: Option<u64>,
    /// Anything else that decides the numbers: flash attention, type of the KV cache, …
    pub settings: BTreeMap<String, Value>,
}

/// The model file of a run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RunModel {
    /// Where it was.
    pub path: Option<String>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: Option<String>,
    /// `llama`, `qwen2`, …
    pub architecture: Option<String>,
    /// Number of blocks.
    pub layers: Option<u64>,
    /// Storage type of most weights, `Q4_1`, `F16`, …
    pub weights: Option<String>,
}

impl RunFile {
    /// Looks for the run file of `NAME.jsonl`.
    pub(super) fn beside(trace: &Path) -> Self {
        let name = trace.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(".jsonl").unwrap_or(&name);
        let path = trace.with_file_name(format!("{stem}.run.json"));
        match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(info) => Self::Found(Box::new(info)),
                Err(error) => Self::Unreadable {
                    path,
                    message: error.to_string(),
                },
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Missing(path),
            Err(error) => Self::Unreadable {
                path,
                message: error.to_string(),
            },
        }
    }

    /// What it says, where there is one.
    pub fn info(&self) -> Option<&RunInfo> {
        match self {
            Self::Found(info) => Some(info),
            _ => None,
        }
    }
}

impl RunInfo {
    /// True where a GPU rounded the inputs of products of 32-bit floats to the 11 bits of TF32.
    pub fn rounds_products(&self) -> bool {
        self.setting("products").as_deref() == Some("tf32")
    }

    /// True where the run names a CUDA device.
    pub fn on_gpu(&self) -> bool {
        self.device
            .as_deref()
            .is_some_and(|device| device.starts_with("cuda"))
    }

    /// How far, relative, logging moved the logits from those of the same run unwatched; `None` where it was not
    /// checked, or moved no bit.
    pub fn perturbed_by(&self) -> Option<String> {
        let is_perturbed = self.setting("capture").as_deref() == Some("perturbed");
        is_perturbed.then(|| self.setting("perturbed_by").unwrap_or_default())
    }

    /// A setting as text: strings without their quotes, everything else as JSON.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}
