//! A worker as its own program, for this crate's tests; the product starts itself as `headwater worker`.

use std::process::ExitCode;

use media_worker::{Limits, run};

/// `media-worker [MEMORY_BYTES CPU_SECONDS]`.
fn main() -> ExitCode {
    let mut limits = Limits::default();
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    if let (Some(memory_bytes), Some(cpu_seconds)) = (args.next(), args.next()) {
        limits = Limits { memory_bytes, cpu_seconds };
    }
    run(limits)
}
