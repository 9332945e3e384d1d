//! What the run files of captured programs lack: the library inside the program knows the model's file, but reading all of it
//! there would hold the program up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ggml_capture::models::inspect;
use orch_log::format::{ModelInfo, parse_run};

/// Adds checksum and architecture of the model to the run file of each trace. `checksum` makes the checksum of a file, or
/// says why not.
///
/// # Errors
///
/// What could not be added, as a sentence. The traces are as good as before.
pub(super) fn describe(
    traces: &[PathBuf],
    checksum: &mut dyn FnMut(&Path) -> Result<String, String>,
) -> Result<(), String> {
    let mut known: HashMap<String, ModelInfo> = HashMap::new();
    for trace in traces {
        let run_file = trace.with_extension("run.json");
        // A run that ended before its first pass has no model, and a trace into which others log is theirs.
        let Ok(text) = std::fs::read(&run_file) else {
            continue;
        };
        let Ok(mut file) = parse_run(&text) else {
            continue;
        };
        let Some(model) = &mut file.run.model else {
            continue;
        };
        if model.path.is_empty() || model.sha256.is_some() {
            continue;
        }
        if !known.contains_key(&model.path) {
            let path = Path::new(&model.path);
            let info = ModelInfo {
                sha256: Some(checksum(path)?),
                architecture: inspect(path).ok().map(|seen| seen.architecture),
                ..ModelInfo::default()
            };
            known.insert(model.path.clone(), info);
        }
        let info = &known[&model.path];
        model.sha256.clone_from(&info.sha256);
        if model.architecture.is_none() {
            model.architecture.clone_from(&info.architecture);
        }
        let temporary = trace.with_extension(format!("run.json.{}", std::process::id()));
        std::fs::write(&temporary, file.to_json())
            .and_then(|()| std::fs::rename(&temporary, &run_file))
            .map_err(|error| {
                let _ = std::fs::remove_file(&temporary);
                format!(
                    "the model's checksum is not in `{}`: {error}",
                    run_file.display()
                )
            })?;
    }
    Ok(())
}
