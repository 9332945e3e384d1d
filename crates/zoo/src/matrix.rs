//! Models, references and cases.

use crate::Args;
use crate::case::CaseResult;
use crate::programs::{Failure, Programs, strip, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Everything that is run.
pub(crate) struct Matrix<'a> {
    args: &'a Args,
    programs: Programs,
    folder: TempDir,
    faults: Vec<Fault>,
}

/// A mistake that the worker can make.
struct Fault {
    name: String,
    /// Whether it lies in a layer.
    in_layer: bool,
}

/// A model file.
pub(crate) struct Model {
    pub(crate) name: String,
    path: PathBuf,
}

/// A trace of llama.cpp.
pub(crate) struct Reference {
    path: PathBuf,
}

/// Fed after the prompt whatever the models pick, so that no token follows itself.
const CONTINUATION: &str = "5, 77, 410, 12, 200";

impl<'a> Matrix<'a> {
    pub(crate) fn new(args: &'a Args) -> Result<Self, Failure> {
        let programs = Programs::new(args.bin.as_deref())?;
        let listed = text(&programs.worker(&["faults"])?, "worker-orcd faults")?;
        let wanted = |name: &str| {
            args.only.is_empty() || args.only.iter().any(|part| name.contains(part.as_str()))
        };
        let faults: Vec<Fault> = listed
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_once(": "))
            .filter(|(name, _)| !name.contains([' ', '=']))
            .filter(|(name, _)| wanted(name))
            .map(|(name, what)| Fault {
                name: name.to_owned(),
                in_layer: what.contains("{L}"),
            })
            .collect();
        if faults.is_empty() {
            return Err("no mistake has such a name; `worker-orcd faults` lists them".into());
        }
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("continuation"), CONTINUATION)?;
        Ok(Self {
            args,
            programs,
            folder,
            faults,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The models, made where they are tiny.
    pub(crate) fn models(&self) -> Result<Vec<Model>, Failure> {
        if let Some(path) = &self.args.model {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let path = path.clone();
            return Ok(vec![Model { name, path }]);
        }
        let donor = match &self.args.donor {
            Some(donor) => donor.clone(),
            None => default_donor()?,
        };
        let mut models = Vec::new();
        for architecture in &self.args.architectures {
            let plain = self.path(&format!("{architecture}.gguf"));
            let args = [
                "models",
                "tiny",
                "-a",
                architecture,
                "-d",
                utf8(&donor)?,
                utf8(&plain)?,
            ];
            text(&self.programs.parity(&args)?, "parity models tiny")?;
            for weights in &self.args.weights {
                let name = format!("{architecture} {weights}");
                if weights == "f32" {
                    let path = plain.clone();
                    models.push(Model { name, path });
                    continue;
                }
                let path = self.path(&format!("{architecture}.{weights}.gguf"));
                let args = [
                    "models",
                    "convert",
                    "--weights",
                    weights,
                    utf8(&plain)?,
                    utf8(&path)?,
                ];
                text(&self.programs.parity(&args)?, "parity models convert")?;
                models.push(Model { name, path });
            }
        }
        Ok(models)
    }

    /// What of the traces is logged.
    fn detail(&self) -> (&'static str, Option<&'static str>) {
        match self.args.detail.as_str() {
            "stats" => ("stats", None),
            "logits" => ("full", Some("logits,tokens")),
            _ => ("full", None),
        }
    }

    /// One trace of llama.cpp for each prompt.
    pub(crate) fn references(&self, model: &Model) -> Result<Vec<Reference>, Failure> {
        let mut references = Vec::new();
        for (index, prompt) in self.args.prompts.iter().enumerate() {
            let path = self.path(&format!(
                "{}.{index}.ref.jsonl",
                model.name.replace(' ', "-")
            ));
            let continuation = self.path("continuation");
            let (detail, filter) = self.detail();
            let mut args = vec![
                "capture",
                "llama",
                "-m",
                utf8(&model.path)?,
                "-p",
                prompt,
                "--threads",
                "1",
            ];
            args.extend([
                "--kv-type",
                "f32",
                "--flash-attn",
                "off",
                "--detail",
                detail,
            ]);
            args.extend(["--force-tokens", utf8(&continuation)?, "-o", utf8(&path)?]);
            for name in filter.iter().flat_map(|filter| filter.split(',')) {
                args.extend(["--checkpoint", name]);
            }
            text(&self.programs.parity(&args)?, "parity capture llama")?;
            references.push(Reference { path });
        }
        Ok(references)
    }

    /// Runs the worker; `None` where the mistake does not apply to the model.
    fn worker(
        &self,
        model: &Model,
        reference: &Reference,
        trace: &Path,
        mistake: Option<(&str, Option<&str>)>,
    ) -> Result<Option<()>, Failure> {
        for extension in ["jsonl", "run.json"] {
            let _ = std::fs::remove_file(trace.with_extension(extension));
        }
        for entry in std::fs::read_dir(self.folder.path())?.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("candidate.")
                && name.to_string_lossy().ends_with(".tensors")
            {
                std::fs::remove_file(entry.path())?;
            }
        }
        let (detail, filter) = self.detail();
        let mut log = vec![("ORCH_LOG_DETAIL", detail)];
        log.extend(filter.map(|filter| ("ORCH_LOG_FILTER", filter)));
        let mut environment = Vec::new();
        if let Some((fault, layer)) = mistake {
            environment.push(("WORKER_ORCD_FAULT", fault));
            environment.extend(layer.map(|layer| ("WORKER_ORCD_FAULT_LAYER", layer)));
        }
        let args = [
            "generate",
            "-t",
            "1",
            "-m",
            utf8(&model.path)?,
            "--force-tokens",
            utf8(&reference.path)?,
        ];
        let output = self.programs.traced(trace, &log, &environment, &args)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            if mistake.is_some()
                && (stderr.contains("would change nothing") || stderr.contains("no layer"))
            {
                return Ok(None);
            }
            return Err(format!("worker-orcd: {}", stderr.trim()).into());
        }
        strip(trace)?;
        Ok(Some(()))
    }

    /// How many causes are claimed for a pair without a mistake.
    pub(crate) fn clean(&self, model: &Model, reference: &Reference) -> Result<usize, Failure> {
        let trace = self.path("candidate.jsonl");
        self.worker(model, reference, &trace, None)?;
        let args = [
            "compare",
            "--format",
            "json",
            utf8(&reference.path)?,
            utf8(&trace)?,
        ];
        let output = self.programs.parity(&args)?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let compared = report["causes"].as_array().map_or(0, Vec::len);
        let explained = self.explain(model, reference, &trace)?;
        let places: Vec<Value> = serde_json::from_str(&explained).unwrap_or_default();
        let causes = places
            .iter()
            .filter_map(|place| place["causes"].as_array().map(Vec::len));
        Ok(compared + causes.sum::<usize>())
    }

    fn explain(
        &self,
        model: &Model,
        reference: &Reference,
        trace: &Path,
    ) -> Result<String, Failure> {
        let mut args = vec![
            "explain",
            "--format",
            "json",
            utf8(&reference.path)?,
            utf8(trace)?,
        ];
        if !self.args.without_model {
            args.extend(["--model", utf8(&model.path)?]);
        }
        let output = self.programs.parity(&args)?;
        let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = of(&output.stderr);
        match output.status.code() {
            // Nothing that could be explained: the list is empty, and this is why.
            Some(0 | 2 | 3) if !said.is_empty() => Ok(said),
            _ => Ok(of(&output.stdout)),
        }
    }

    /// Plants every mistake that the model can have.
    pub(crate) fn each_case(
        &self,
        model: &Model,
        reference: &Reference,
        take: &mut dyn FnMut(CaseResult),
    ) -> Result<(), Failure> {
        let trace = self.path("candidate.jsonl");
        for fault in &self.faults {
            let layers: Vec<Option<&str>> = if fault.in_layer {
                self.args
                    .layers
                    .iter()
                    .map(|layer| Some(layer.as_str()))
                    .collect()
            } else {
                vec![None]
            };
            for layer in layers {
                if self
                    .worker(model, reference, &trace, Some((&fault.name, layer)))?
                    .is_some()
                {
                    let printed = self.explain(model, reference, &trace)?;
                    take(CaseResult::of(&fault.name, layer.unwrap_or("-"), &printed));
                }
            }
        }
        Ok(())
    }
}

fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str()
        .ok_or_else(|| format!("`{}` is not UTF-8", path.display()).into())
}

/// SmolLM2 as `./demo` and `./test` fetch it.
fn default_donor() -> Result<PathBuf, Failure> {
    let cache = std::env::var_os("NUMERIC_PARITY_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| {
        Some(PathBuf::from(std::env::var_os("XDG_CACHE_HOME")?).join("numeric-parity"))
    });
    let cache = cache
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/numeric-parity")));
    let path = cache
        .ok_or("no home folder")?
        .join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("no `{}`: run ./demo once, or say --donor", path.display()).into())
    }
}
