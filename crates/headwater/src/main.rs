//! The binary: commands, configuration, wiring. What it wires lives in the crates below it.
//!
//! Results go to stdout, logs and errors to stderr. Exit status: 0 done, 1 failed, 2 wrong usage or configuration,
//! 130 interrupted.

mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod failure;
mod inspect;
mod play;
mod serve;
mod torrent;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};

use crate::{
    cli::{Cli, Command},
    config::{Layers, Origin, Settings},
    failure::Failure,
};

fn main() -> ExitCode {
    // Before anything else is: a worker locks itself in while it has one thread and no file.
    if std::env::args_os().nth(1).is_some_and(|first| first == config::WORKER) {
        return media_worker::run(media_worker::Limits::default());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "headwater: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    if let Command::Config(command) = &cli.command {
        return commands::config(command, &cli, &env);
    }
    let layers = Layers::read(cli.config.as_deref(), cli.flags(), &env)?;
    let settings = Settings::new(&layers, &env)?;
    log_to_stderr(&settings, &layers, &cli.command)?;
    match cli.command {
        Command::Serve(_) => serve::serve(&settings, &layers),
        Command::Play(args) => play::play(&args, &settings),
        Command::Download(args) => torrent::download::download(&args, &settings),
        Command::Seed(args) => torrent::seed::seed(&args, &settings),
        Command::Create(args) => torrent::create::create(&args),
        Command::Inspect(args) => inspect::inspect(&args, &settings),
        Command::Demo(args) => demo::demo(&args, &settings),
        Command::Config(_) => Ok(()),
    }
}

fn log_to_stderr(settings: &Settings, layers: &Layers, command: &Command) -> Result<(), Failure> {
    // What a command shows of its work is enough, unless more was asked for.
    let quiet = !matches!(command, Command::Serve(_)) && layers.origin("log.filter") == Origin::Default;
    let filter = if quiet { "warn" } else { settings.log.as_str() };
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        let origin = layers.origin("log.filter");
        Failure::Usage(format!("log.filter is \"{}\" ({origin}): {error}", settings.log.escape_debug()))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| torrent::progress::LogWriter)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

/// Help and version go to stdout as clap writes them; an error becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            // "error: what\n\n  tip: what to do\n\nUsage: …"
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
            let missing =
                text.lines().skip(1).find(|line| line.starts_with("  <") || line.starts_with("  --"));
            let mut line = what.trim_end_matches(':').to_owned();
            if let Some(missing) = missing {
                line.push_str(&format!(": {}", missing.trim()));
            }
            line.push_str(&tip.map_or("; see headwater --help".to_owned(), |tip| format!(": {tip}")));
            let _ = writeln!(io::stderr(), "headwater: {line}");
            ExitCode::from(2)
        }
    }
}

/// Writes a result; a closed pipe is the reader's wish, not an error.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
