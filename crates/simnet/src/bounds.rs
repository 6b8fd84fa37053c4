//! `bounds.toml`: what each scenario reached before, and may not fall behind again.

use toml_edit::DocumentMut;

use crate::Report;

/// What was recorded.
static RECORDED: &str = include_str!("../bounds.toml");

/// A scenario may be this much worse than recorded: other choices of equal worth, not a slower reader.
const SLACK: f64 = 1.05;

/// The same where one choice changes everybody's: a crowd.
const SLACK_CROWD: f64 = 1.4;

/// What a scenario reached.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bound {
    /// First byte, middle and 95th percentile, per what the links allow.
    pub first: [f64; 2],
    /// The same for 4 MiB.
    pub four: [f64; 2],
    /// Stalls and waste, per hundred.
    pub stalls: f64,
    /// Waste, per hundred.
    pub waste: f64,
    /// Everybody's completion, per what the links allow.
    pub complete: f64,
}

impl From<&Report> for Bound {
    fn from(report: &Report) -> Self {
        let (first, four) = (report.first(), report.four());
        Self {
            first: [first.p50, first.p95],
            four: [four.p50, four.p95],
            stalls: report.stalls() * 100.0,
            waste: report.waste() * 100.0,
            complete: report.complete_ratio.unwrap_or(0.0),
        }
    }
}

/// What was recorded for a scenario.
#[must_use]
pub fn bounds(name: &str) -> Option<Bound> {
    let document: DocumentMut = RECORDED.parse().ok()?;
    let table = document.get(name)?;
    let number = |key: &str| table.get(key).and_then(toml_edit::Item::as_float);
    Some(Bound {
        first: [number("first_p50")?, number("first_p95")?],
        four: [number("four_p50")?, number("four_p95")?],
        stalls: number("stalls_percent")?,
        waste: number("waste_percent")?,
        complete: number("complete").unwrap_or(0.0),
    })
}

/// In what a run is worse than recorded.
#[must_use]
pub fn misses(report: &Report, bound: &Bound) -> Vec<String> {
    let now = Bound::from(report);
    let crowd = report.complete_ratio.is_some();
    let allowed = if crowd { SLACK_CROWD } else { SLACK };
    let all = [
        ("first byte, p50", now.first[0], bound.first[0], 0.02),
        ("first byte, p95", now.first[1], bound.first[1], 0.05),
        ("4 MiB, p50", now.four[0], bound.four[0], 0.02),
        ("4 MiB, p95", now.four[1], bound.four[1], 0.05),
        ("stalls", now.stalls, bound.stalls, 0.5),
        ("waste", now.waste, bound.waste, 0.3),
        ("all complete", now.complete, bound.complete, 0.02),
    ];
    all.iter()
        .filter(|(_, now, before, slack)| *now > before * allowed + slack)
        .map(|(what, now, before, _)| format!("{}: {what} {now:.3}, was {before:.3}", report.name))
        .collect()
}

impl Bound {
    /// As a table of `bounds.toml`.
    #[must_use]
    pub fn table(&self, name: &str) -> String {
        let mut text = format!(
            "[{name}]\nfirst_p50 = {:.3}\nfirst_p95 = {:.3}\nfour_p50 = {:.3}\nfour_p95 = {:.3}\nstalls_percent = {:.2}\nwaste_percent = {:.2}\n",
            self.first[0], self.first[1], self.four[0], self.four[1], self.stalls, self.waste
        );
        if self.complete > 0.0 {
            text.push_str(&format!("complete = {:.3}\n", self.complete));
        }
        text
    }
}
