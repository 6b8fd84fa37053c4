//! `inspect`: what is in a film and how it would be cut.

use crate::{cli::InspectArgs, failure::Failure};

pub(crate) fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    Err(Failure::Failed(anyhow::anyhow!("{}: not built yet", args.file)))
}
