//! `NAME.run.json`: what a run was.

use super::number::push_u64;
use super::text::push_string;

/// What the engine knows about its run. Every part is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The model file.
    pub model: Option<ModelInfo>,
    /// The prompt as text.
    pub prompt: Option<String>,
    /// Token ids: those of the prompt, then every pick.
    pub tokens: Vec<i64>,
    /// What computed: `cpu`, `cuda:0`, …
    pub device: Option<String>,
    /// Threads that computed.
    pub threads: Option<usize>,
    /// Anything else that decides the numbers: flash attention, type of the KV cache, …
    pub settings: Vec<(String, String)>,
    /// Version of the engine.
    pub version: Option<String>,
}

/// The model file of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// Where it was.
    pub path: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: Option<String>,
    /// `llama`, `qwen2`, …
    pub architecture: Option<String>,
    /// Number of blocks.
    pub layers: Option<usize>,
    /// Storage type of most weights, `Q4_1`, `F16`, …
    pub weights: Option<String>,
}

/// A whole `run.json`: what the logger knows, and what the engine told it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFile {
    /// Version of the trace format.
    pub format_version: u64,
    /// Who logged.
    pub team: String,
    /// Command line.
    pub argv: Vec<String>,
    /// Host name.
    pub host: String,
    /// Process.
    pub pid: u64,
    /// UTC, `2025-10-07T19:47:11Z`.
    pub started_at: String,
    /// What the engine told.
    pub run: Run,
}

impl RunFile {
    /// The file's text: one JSON object, one field a line.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"{\n  \"format_version\": ");
        push_u64(&mut out, self.format_version);
        field(&mut out, "team", &self.team);
        name(&mut out, "argv");
        list(&mut out, &self.argv, |out, text| push_string(out, text));
        field(&mut out, "host", &self.host);
        name(&mut out, "pid");
        push_u64(&mut out, self.pid);
        field(&mut out, "started_at", &self.started_at);
        let run = &self.run;
        if let Some(version) = &run.version {
            field(&mut out, "version", version);
        }
        if let Some(model) = &run.model {
            name(&mut out, "model");
            push_model(&mut out, model);
        }
        if let Some(prompt) = &run.prompt {
            field(&mut out, "prompt", prompt);
        }
        if !run.tokens.is_empty() {
            name(&mut out, "tokens");
            list(&mut out, &run.tokens, |out, id| {
                super::number::push_i64(out, *id)
            });
        }
        if let Some(device) = &run.device {
            field(&mut out, "device", device);
        }
        if let Some(threads) = run.threads {
            name(&mut out, "threads");
            push_u64(&mut out, threads as u64);
        }
        if !run.settings.is_empty() {
            name(&mut out, "settings");
            out.push(b'{');
            for (index, (key, value)) in run.settings.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b", " } else { b"" });
                push_string(&mut out, key);
                out.extend_from_slice(b": ");
                push_string(&mut out, value);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"\n}\n");
        String::from_utf8(out).unwrap_or_default()
    }
}

fn push_model(out: &mut Vec<u8>, model: &ModelInfo) {
    out.extend_from_slice(b"{\"path\": ");
    push_string(out, &model.path);
    for (key, value) in [
        ("sha256", &model.sha256),
        ("architecture", &model.architecture),
        ("weights", &model.weights),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(b", ");
            push_string(out, key);
            out.extend_from_slice(b": ");
            push_string(out, value);
        }
    }
    if let Some(layers) = model.layers {
        out.extend_from_slice(b", \"layers\": ");
        push_u64(out, layers as u64);
    }
    out.push(b'}');
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\n  ");
    push_string(out, name);
    out.extend_from_slice(b": ");
}

fn field(out: &mut Vec<u8>, key: &str, value: &str) {
    name(out, key);
    push_string(out, value);
}

fn list<T>(out: &mut Vec<u8>, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push(out, item);
    }
    out.push(b']');
}
