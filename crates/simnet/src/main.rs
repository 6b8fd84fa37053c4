//! Plays scenarios and prints what they show: `cargo run -p simnet -- [NAME] [--seed N[,N…]] [--seeks] [--record]`.

use std::process::ExitCode;

use simnet::{Bound, SCENARIOS, bounds, misses, run, scenario};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]
fn main() -> ExitCode {
    let mut seeds: Vec<u64> = Vec::new();
    let (mut names, mut record, mut seeks) = (Vec::new(), false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seed" => {
                let given = args.next().unwrap_or_default();
                seeds = given.split(',').filter_map(|seed| seed.parse().ok()).collect();
            }
            "--record" => record = true,
            "--seeks" => seeks = true,
            name => match scenario(name) {
                Some(scenario) => names.push(scenario),
                None => {
                    for scenario in SCENARIOS {
                        eprintln!("{:<22} {}", scenario.name, scenario.about);
                    }
                    return ExitCode::from(2);
                }
            },
        }
    }
    if names.is_empty() {
        names.extend(SCENARIOS);
    }
    let mut tables = String::from(
        "# What each scenario reached. Written by `cargo run -p simnet -- --record`; a test fails when one gets worse.\n",
    );
    let mut worse = false;
    for scenario in names {
        let runs = seeds.iter().map(|seed| run(scenario, *seed));
        let report = runs.reduce(simnet::Report::and).unwrap_or_else(|| scenario.recorded());
        println!("{report}");
        if seeks {
            for seek in report.seeks.iter().filter(|seek| !seek.first_bound.is_zero()) {
                println!("    {seek}");
            }
        }
        tables.push_str(&format!("\n{}", Bound::from(&report).table(scenario.name)));
        for miss in bounds(scenario.name).map(|bound| misses(&report, &bound)).unwrap_or_default() {
            println!("    worse: {miss}");
            worse = true;
        }
    }
    if record && let Err(error) = std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/bounds.toml"), tables)
    {
        eprintln!("bounds.toml: {error}");
        return ExitCode::FAILURE;
    }
    if worse && !record { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
