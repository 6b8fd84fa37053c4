//! `config init|check|show`.

use std::{fs, path::Path};

use anyhow::Context;

use crate::{
    cli::{Cli, ConfigCommand},
    config::{ConfigError, KEYS, Layers, Settings, config_path, template},
    failure::Failure,
    say,
};

pub(crate) fn config(
    command: &ConfigCommand,
    cli: &Cli,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    if let ConfigCommand::Init { force } = command {
        let path = config_path(cli.config.as_deref(), env).ok_or_else(|| {
            ConfigError("there is no HOME to put a configuration into: name a file with --config".to_owned())
        })?;
        return init(&path, *force);
    }
    let layers = Layers::read(cli.config.as_deref(), cli.flags(), env)?;
    let settings = Settings::new(&layers, env)?;
    match command {
        ConfigCommand::Show { json, .. } => show(&layers, &settings, *json)?,
        _ => check(&layers, &settings)?,
    }
    Ok(())
}

fn init(path: &Path, force: bool) -> Result<(), Failure> {
    let shown = path.display();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("folder {}", parent.display()))?;
    }
    if force {
        fs::write(path, template()).with_context(|| format!("configuration {shown}"))?;
    } else {
        use std::io::Write;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
        match file {
            Ok(mut file) => {
                file.write_all(template().as_bytes()).with_context(|| format!("configuration {shown}"))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Failure::Failed(anyhow::anyhow!(
                    "configuration {shown} is there already: --force replaces it"
                )));
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context(format!("configuration {shown}")).into());
            }
        }
    }
    say(format_args!("wrote {shown}"));
    Ok(())
}

fn show(layers: &Layers, settings: &Settings, json: bool) -> Result<(), Failure> {
    if json {
        let all: serde_json::Map<String, serde_json::Value> = KEYS
            .iter()
            .map(|key| {
                let value = serde_json::json!({
                    "value": settings.shown(key.name),
                    "origin": layers.origin(key.name).to_string(),
                });
                (key.name.to_owned(), value)
            })
            .collect();
        say(serde_json::to_string_pretty(&all).context("writing JSON")?);
        return Ok(());
    }
    let rows: Vec<(String, String)> = KEYS
        .iter()
        .map(|key| {
            (format!("{} = {}", key.name, settings.shown(key.name)), layers.origin(key.name).to_string())
        })
        .collect();
    let width = rows.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or(0).min(72);
    for (setting, origin) in rows {
        say(format_args!("{setting:width$}  # {origin}"));
    }
    Ok(())
}

fn check(layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    crate::serve::may_listen(settings, layers)?;
    for path in &settings.paths {
        if !path.is_dir() {
            let origin = layers.origin("library.paths");
            return Err(ConfigError(format!(
                "library.paths holds \"{}\" ({origin}): not a folder",
                path.display()
            ))
            .into());
        }
    }
    match &layers.file {
        Some(path) => say(format_args!("{} is right", path.display())),
        None => say("right; there is no configuration file, and none is needed"),
    }
    Ok(())
}
