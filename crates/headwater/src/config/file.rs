//! The configuration file: TOML, checked key by key against [`KEYS`].

use std::{fmt::Write, path::Path};

use toml_edit::{Document, Item, Table, Value};

use super::{ConfigError, Form, KEYS, Key, Raw, did_you_mean};

/// Reads `text`; gives each setting with its line, counted from 1.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<(&'static Key, Raw, usize)>, ConfigError> {
    let at = |offset: usize| text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
    let fail = |line: usize, what: String| ConfigError(format!("{}:{line}: {what}", path.display()));
    let document = Document::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| at(span.start));
        fail(line, error.message().replace('\n', " "))
    })?;
    let line_of = |table: &Table, key: &str| {
        let span = table.get_key_value(key).and_then(|(key, item)| key.span().or_else(|| item.span()));
        span.map_or(1, |span| at(span.start))
    };
    let mut found = Vec::new();
    for (section, item) in document.as_table() {
        let line = line_of(document.as_table(), section);
        let sections = || KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(section, _)| section);
        if !sections().any(|known| known == section) {
            return Err(fail(line, unknown(section, did_you_mean(section, sections()))));
        }
        let Item::Table(table) = item else {
            return Err(fail(line, format!("{section} is {}: expected a table, [{section}]", kind(item))));
        };
        for (name, item) in table {
            let (line, full) = (line_of(table, name), format!("{section}.{name}"));
            let Some(key) = KEYS.iter().find(|key| key.name == full) else {
                let names =
                    KEYS.iter().map(|key| key.name).filter(|key| key.starts_with(&format!("{section}.")));
                return Err(fail(line, unknown(&full, did_you_mean(&full, names))));
            };
            let raw = raw(key, item).map_err(|what| fail(line, what))?;
            found.push((key, raw, line));
        }
    }
    Ok(found)
}

fn unknown(name: &str, guess: Option<&str>) -> String {
    match guess {
        Some(guess) => format!("there is no setting {name}: did you mean {guess}?"),
        None => {
            format!("there is no setting {name} in this version: headwater config init writes all there are")
        }
    }
}

fn raw(key: &Key, item: &Item) -> Result<Raw, String> {
    match (key.form, item.as_value()) {
        (Form::Text, Some(Value::String(text))) => Ok(Raw::Text(text.value().clone())),
        (Form::Number, Some(Value::Integer(number))) => Ok(Raw::Text(number.value().to_string())),
        (Form::Switch, Some(Value::Boolean(on))) => Ok(Raw::Text(on.value().to_string())),
        (Form::List(_), Some(Value::Array(items))) => items
            .iter()
            .map(|item| {
                item.as_str().map(str::to_owned).ok_or_else(|| {
                    format!("{} holds {}: expected an array of strings", key.name, value_kind(item))
                })
            })
            .collect::<Result<_, _>>()
            .map(Raw::List),
        _ => {
            let expected = match key.form {
                Form::Text => "a string",
                Form::Number => "a number",
                Form::Switch => "true or false",
                Form::List(_) => "an array of strings",
            };
            Err(format!("{} is {}: expected {expected}", key.name, kind(item)))
        }
    }
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Value(value) => value_kind(value),
        Item::Table(_) => "a table",
        Item::ArrayOfTables(_) => "an array of tables",
        Item::None => "nothing",
    }
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::InlineTable(_) => "a table",
    }
}

/// A configuration that says what there is and changes nothing.
pub(crate) fn template() -> String {
    let mut out =
        "# Headwater's configuration. Flags win over the environment, the environment over this file.\n\
         # What is commented out is the default. `headwater config show` says what is in effect, and why.\n"
            .to_owned();
    let mut section = "";
    for key in KEYS {
        let Some((table, name)) = key.name.split_once('.') else { continue };
        if table != section {
            section = table;
            let _ = writeln!(out, "\n[{table}]");
        }
        let _ =
            writeln!(out, "# {}\n# Environment: {}\n#{name} = {}", key.help, key.env.join(", "), key.example);
    }
    out
}
