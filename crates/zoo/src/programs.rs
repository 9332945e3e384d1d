//! The two programs under test.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where they are.
pub(crate) struct Programs {
    folder: PathBuf,
}

pub(crate) type Failure = Box<dyn std::error::Error>;

impl Programs {
    /// In `folder`, or beside this program.
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => {
                let own = std::env::current_exe()?;
                own.parent()
                    .ok_or("this program is in no folder")?
                    .to_owned()
            }
        };
        Ok(Self { folder })
    }

    /// `parity` with these arguments.
    pub(crate) fn parity(&self, args: &[&str]) -> Result<Output, Failure> {
        self.output(Command::new(self.folder.join("parity")).args(args))
    }

    /// `worker-orcd` with these arguments, without a trace.
    pub(crate) fn worker(&self, args: &[&str]) -> Result<Output, Failure> {
        self.output(Command::new(self.folder.join("worker-orcd")).args(args))
    }

    /// `worker-orcd` with a trace and, in its environment, a mistake.
    pub(crate) fn traced(
        &self,
        trace: &Path,
        detail: &[(&str, &str)],
        mistake: &[(&str, &str)],
        args: &[&str],
    ) -> Result<Output, Failure> {
        let mut command = Command::new(self.folder.join("worker-orcd"));
        command
            .args(args)
            .env("ORCH_LOG_FILE", trace)
            .env("ORCH_LOG_TEAM", "worker-orcd");
        command
            .envs(detail.iter().copied())
            .envs(mistake.iter().copied());
        self.output(&mut command)
    }

    fn output(&self, command: &mut Command) -> Result<Output, Failure> {
        let program = command.get_program().to_owned();
        command.output().map_err(|error| {
            let program = program.to_string_lossy();
            format!("cannot run `{program}`: {error}; build it first, or say --bin").into()
        })
    }
}

/// Standard output of a run that must succeed.
pub(crate) fn text(output: &Output, what: &str) -> Result<String, Failure> {
    if !output.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Removes what the worker notes of its mistake.
pub(crate) fn strip(trace: &Path) -> Result<(), Failure> {
    let path = trace.with_extension("run.json");
    let mut run: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let object = run.as_object_mut().ok_or("a run file is an object")?;
    object.remove("argv");
    if let Some(settings) = object.get_mut("settings").and_then(Value::as_object_mut) {
        settings.remove("fault");
    }
    let text = serde_json::to_string_pretty(&run)?;
    if text.contains("fault") {
        return Err(format!("`{}` still speaks of a fault", path.display()).into());
    }
    Ok(std::fs::write(&path, text)?)
}
