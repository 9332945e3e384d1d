//! Reading `NAME.run.json`.

use super::cursor::{Cursor, ParseError, Result};
use super::{FORMAT_VERSION, ModelInfo, RunFile};

/// Reads the content of a `run.json`. Unknown fields are ignored, absent ones have their defaults.
///
/// # Errors
///
/// What is no JSON object, a field of another type than the format says, or a `format_version` other than
/// [`FORMAT_VERSION`]. The column counts bytes from the start of the file.
///
/// # Example
///
/// ```
/// let run = orch_log::format::parse_run(br#"{"format_version":1,"team":"me","threads":2}"#).expect("a run");
/// assert_eq!((run.team.as_str(), run.run.threads), ("me", Some(2)));
/// ```
pub fn parse_run(text: &[u8]) -> std::result::Result<RunFile, ParseError> {
    let mut file = RunFile::default();
    let mut version = None;
    let mut cursor = Cursor::new(text);
    cursor.object(|cursor, key| {
        if cursor.eat_word("null") {
            return Ok(());
        }
        let run = &mut file.run;
        match key {
            "format_version" => version = Some(unsigned(cursor, key)?),
            "team" => file.team = string(cursor, key)?,
            "argv" => file.argv = strings(cursor, key)?,
            "host" => file.host = string(cursor, key)?,
            "pid" => file.pid = unsigned(cursor, key)?,
            "started_at" => file.started_at = string(cursor, key)?,
            "version" => run.version = Some(string(cursor, key)?),
            "model" => run.model = Some(model(cursor)?),
            "prompt" => run.prompt = Some(string(cursor, key)?),
            "tokens" => {
                run.tokens.clear();
                cursor.array(|cursor| {
                    run.tokens.push(integer(cursor, key)?);
                    Ok(())
                })?;
            }
            "device" => run.device = Some(string(cursor, key)?),
            "threads" => run.threads = Some(unsigned(cursor, key)? as usize),
            "settings" => {
                run.settings.clear();
                cursor.object(|cursor, key| {
                    run.settings.push((key.to_owned(), string(cursor, key)?));
                    Ok(())
                })?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    if cursor.peek().is_some() {
        return cursor.expected("the end of the file");
    }
    match version {
        Some(FORMAT_VERSION) => file.format_version = FORMAT_VERSION,
        Some(version) => {
            return cursor.error(format!(
                "format version {version} is not known, only {FORMAT_VERSION}; use a newer reader"
            ));
        }
        None => return cursor.error("field `format_version` is missing"),
    }
    Ok(file)
}

fn model(cursor: &mut Cursor<'_>) -> Result<ModelInfo> {
    let mut model = ModelInfo::default();
    cursor.object(|cursor, key| {
        if cursor.eat_word("null") {
            return Ok(());
        }
        match key {
            "path" => model.path = string(cursor, key)?,
            "sha256" => model.sha256 = Some(string(cursor, key)?),
            "architecture" => model.architecture = Some(string(cursor, key)?),
            "layers" => model.layers = Some(unsigned(cursor, key)? as usize),
            "weights" => model.weights = Some(string(cursor, key)?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(model)
}

fn strings(cursor: &mut Cursor<'_>, field: &str) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    cursor.array(|cursor| {
        strings.push(string(cursor, field)?);
        Ok(())
    })?;
    Ok(strings)
}

fn string(cursor: &mut Cursor<'_>, field: &str) -> Result<String> {
    cursor
        .string_field(&mut String::new(), field)
        .map(str::to_owned)
}

fn integer(cursor: &mut Cursor<'_>, field: &str) -> Result<i64> {
    cursor.integer_field(field)
}

fn unsigned(cursor: &mut Cursor<'_>, field: &str) -> Result<u64> {
    cursor.count_field(field).map(|count| count as u64)
}
