//! `demo`: a made film, served; with `--check`, played and sought through by itself.

use crate::{cli::DemoArgs, config::Settings, failure::Failure};

pub(crate) fn demo(_args: &DemoArgs, _settings: &Settings) -> Result<(), Failure> {
    Err(Failure::Failed(anyhow::anyhow!("demo: not built yet")))
}
