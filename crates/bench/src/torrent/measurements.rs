//! One measurement, taken by a `measure.py` of `bench/`, and what several of them come to.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A kind of measurement and how its numbers are shown.
pub(crate) struct Kind {
    /// What `measure.py` calls it.
    pub(crate) what: &'static str,
    pub(crate) title: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) clients: &'static [&'static str],
    pub(crate) columns: &'static [Column],
}

/// Head, key in the answer, factor, digits.
pub(crate) type Column = (&'static str, &'static str, f64, usize);

pub(crate) struct Runner {
    headwater: PathBuf,
    python: PathBuf,
    work: PathBuf,
    script: PathBuf,
}

impl Runner {
    /// `script` takes the measurements.
    pub(crate) fn new(headwater: PathBuf, python: PathBuf, work: PathBuf, script: &str) -> Self {
        Self { headwater, python, work, script: script.into() }
    }

    fn call(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(&self.python)
            .arg(&self.script)
            .args(arguments)
            .arg("--work")
            .arg(&self.work)
            .arg("--headwater")
            .arg(&self.headwater)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{}", self.python.display()))?;
        ensure!(output.status.success(), "{arguments:?}: {}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?} gave no JSON"))
    }

    /// The clients that are installed, with their versions.
    pub(crate) fn clients(&self) -> Result<BTreeMap<String, String>> {
        serde_json::from_value(self.call(&["clients"])?).context("clients")
    }

    pub(crate) fn measure(&self, kind: &Kind, client: &str) -> Result<Measured> {
        let mut arguments = vec![kind.what, client];
        arguments.extend(kind.arguments.iter().map(String::as_str));
        Ok(Measured::of(&self.call(&arguments)?))
    }
}

/// Numbers of one measurement, or why there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    numbers: BTreeMap<String, f64>,
    failure: Option<String>,
}

impl Measured {
    fn of(answer: &Value) -> Self {
        let object = answer.as_object().cloned().unwrap_or_default();
        let failure = object.get("error").map(|why| why.as_str().unwrap_or_default().to_owned());
        let mut numbers: BTreeMap<String, f64> =
            object.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect();
        if let (Some(bytes), Some(wall)) = (numbers.get("bytes").copied(), numbers.get("wall").copied()) {
            numbers.insert("rate".into(), bytes / 1_048_576.0 / wall);
            if let Some(cpu) = numbers.get("cpu").copied() {
                numbers.insert("cpu_per_gib".into(), cpu / (bytes / 1_073_741_824.0));
            }
        }
        Self { numbers, failure }
    }

    /// The middle one of those that have the number; of two, the lower.
    pub(crate) fn median(runs: &[Self], key: &str) -> Option<f64> {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.numbers.get(key).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }

    pub(crate) fn failures(runs: &[Self]) -> Vec<&str> {
        runs.iter().filter_map(|run| run.failure.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_and_medians_are_of_the_runs_that_succeeded() {
        let runs = [
            Measured::of(&json!({"wall": 2.0, "cpu": 1.0, "bytes": 2_147_483_648_u64})),
            Measured::of(&json!({"error": "it ended"})),
            Measured::of(&json!({"wall": 4.0, "cpu": 3.0, "bytes": 2_147_483_648_u64})),
            Measured::of(&json!({"wall": 1.0, "cpu": 5.0, "bytes": 2_147_483_648_u64})),
        ];
        assert_eq!(Measured::median(&runs, "rate"), Some(1024.0));
        assert_eq!(Measured::median(&runs, "cpu_per_gib"), Some(1.5));
        assert_eq!(Measured::median(&runs, "rss"), None);
        assert_eq!(Measured::failures(&runs), ["it ended"]);
    }
}
