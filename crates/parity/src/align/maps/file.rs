//! The TOML form of a map.

use super::map::NameMap;
use super::pattern::{Pattern, Template};
use super::rule::{Axes, Part, PartKind, Reading, Rule};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// Why a map cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapError {
    /// The file, or the name of a shipped map.
    pub source_name: String,
    /// What is wrong, with line and column where the syntax is.
    pub message: String,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name map `{}`: {}", self.source_name, self.message)
    }
}

impl std::error::Error for MapError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    about: Option<String>,
    #[serde(default)]
    teams: Vec<String>,
    requires: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    To(String),
    One(Fields),
    Several(Vec<Fields>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    to: Option<String>,
    parts: Option<Vec<String>>,
    #[serde(default)]
    ignore: bool,
    op: Option<String>,
    occurrence: Option<u64>,
    unless_op: Option<String>,
    layout: Option<String>,
    #[serde(default)]
    alias: bool,
}

/// Reads a map.
///
/// # Errors
///
/// Syntax that is not TOML, unknown fields, patterns with holes that nothing fills.
pub(super) fn parse(text: &str, source_name: &str) -> Result<NameMap, MapError> {
    let error = |message: String| MapError {
        source_name: source_name.to_owned(),
        message,
    };
    let file: File = toml::from_str(text).map_err(|reason| {
        let text = reason.to_string();
        // Inside an untagged entry the reader only knows that none of the forms fits.
        error(text.replace(
            "data did not match any variant of untagged enum Entry",
            "an entry is a name, or a table with `to`, `parts` or `ignore`, and `op`, `occurrence`, `unless_op`, \
             `layout`, `alias`",
        ))
    })?;
    if file.names.is_empty() {
        return Err(error("it has no table `[names]` with entries".to_owned()));
    }
    let mut rules = Vec::new();
    for (pattern, entry) in file.names {
        let entries = match entry {
            Entry::To(name) => vec![Fields {
                to: Some(name),
                ..Fields::default()
            }],
            Entry::One(fields) => vec![fields],
            Entry::Several(several) => several,
        };
        for fields in entries {
            let rule = rule(&pattern, fields);
            rules.push(rule.map_err(|message| error(format!("entry `{pattern}`: {message}")))?);
        }
    }
    let requires = file.requires.as_deref().map(Pattern::parse).transpose();
    let requires = requires.map_err(|message| error(format!("`requires`: {message}")))?;
    Ok(NameMap::new(
        file.name.unwrap_or_else(|| source_name.to_owned()),
        file.about.unwrap_or_default(),
        file.teams,
        requires,
        rules,
    ))
}

fn rule(text: &str, fields: Fields) -> Result<Rule, String> {
    let pattern = Pattern::parse(text)?;
    let reading = Reading {
        part: None,
        axes: fields.layout.as_deref().map(Axes::parse).transpose()?,
        is_alias: fields.alias,
    };
    let targets = match (fields.to, fields.parts, fields.ignore) {
        (Some(name), None, false) => vec![(Template::parse(&name)?, reading)],
        (None, Some(parts), false) => fused(&parts, &reading)?,
        (None, None, true) => Vec::new(),
        _ => return Err("needs exactly one of `to`, `parts` and `ignore = true`".to_owned()),
    };
    for (target, _) in &targets {
        if let Some(letter) = target.letters().find(|letter| !pattern.has_letter(*letter)) {
            return Err(format!(
                "`{target}` wants `{{{letter}}}`, which the pattern does not have"
            ));
        }
    }
    Ok(Rule {
        pattern,
        text: text.to_owned(),
        op: fields.op,
        occurrence: fields.occurrence,
        unless_op: fields.unless_op,
        targets,
    })
}

/// Q, K and V are told by their names; everything else is parts of one width.
fn fused(parts: &[String], reading: &Reading) -> Result<Vec<(Template, Reading)>, String> {
    if parts.len() < 2 {
        return Err("`parts` needs at least two names".to_owned());
    }
    let is_qkv =
        matches!(parts, [q, k, v] if q.ends_with("_q") && k.ends_with("_k") && v.ends_with("_v"));
    let kind = if is_qkv {
        PartKind::Qkv
    } else {
        PartKind::Equal
    };
    let part = |(index, name): (usize, &String)| {
        let part = Part {
            index,
            count: parts.len(),
            kind,
        };
        Ok((
            Template::parse(name)?,
            Reading {
                part: Some(part),
                ..reading.clone()
            },
        ))
    };
    parts.iter().enumerate().map(part).collect()
}
