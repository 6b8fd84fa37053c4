//! Licences of what is built in: each package's SPDX expression is met by the list of `deny.toml`, and each dependency
//! that is named has its line of reason in docs/design/0002-dependencies.md.

use crate::house::House;

/// The page with a reason for each dependency.
const REASONS: &str = "docs/design/0002-dependencies.md";

pub(crate) fn check(house: &House) -> Vec<String> {
    let text = |path: &str| house.files.iter().find(|f| f.path == path).map(|f| f.text.as_str());
    let mut complaints = Vec::new();
    let allowed = text("deny.toml").map(allowed).unwrap_or_default();
    for package in &house.outside {
        let expression = package.licence.as_deref().unwrap_or("none stated");
        if !met(expression, &allowed) {
            complaints.push(format!(
                "{} {}: licence {expression} is not in deny.toml",
                package.name, package.version
            ));
        }
    }
    if let Some(reasons) = text(REASONS) {
        for (name, found) in &house.crates {
            for dependency in found.names.iter().filter(|n| !reasons.contains(&format!("`{n}`"))) {
                complaints.push(format!("{name} names {dependency}, which has no reason in {REASONS}"));
            }
        }
        for reasoned in reasoned(reasons) {
            if !house.crates.values().any(|c| c.names.contains(reasoned)) {
                complaints.push(format!("{REASONS} has a reason for {reasoned}, which no crate names"));
            }
        }
    }
    complaints
}

/// The packages in the first cell of the page's table.
fn reasoned(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

/// The strings of `allow = [...]` in `[licenses]`.
fn allowed(deny: &str) -> Vec<String> {
    let list =
        deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression is met: `OR` needs one side, `AND` both. The old `/` is read as `OR`.
fn met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let verdict = either(&tokens, &mut at, allowed);
    verdict && at == tokens.len()
}

fn either(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut verdict = both(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        verdict |= both(tokens, at, allowed);
    }
    verdict
}

fn both(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut verdict = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        verdict &= one(tokens, at, allowed);
    }
    verdict
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    if tokens.get(*at) == Some(&"(") {
        *at += 1;
        let verdict = either(tokens, at, allowed);
        *at += 1;
        return verdict;
    }
    let mut name = tokens.get(*at).copied().unwrap_or_default().to_owned();
    *at += 1;
    if let (Some(&"WITH"), Some(exception)) = (tokens.get(*at), tokens.get(*at + 1)) {
        name = format!("{name} WITH {exception}");
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::{Crate, File, Outside};

    fn list() -> Vec<String> {
        allowed(
            "[licenses]\nallow = [\"MIT\", \"Apache-2.0\",\n  \"Apache-2.0 WITH LLVM-exception\", \"Unicode-3.0\"]\n",
        )
    }

    #[test]
    fn expressions_are_met_or_not() {
        for fine in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(met(fine, &list()), "{fine}");
        }
        for not in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND GPL-3.0",
            "",
            "none stated",
            "MIT WITH Strings",
        ] {
            assert!(!met(not, &list()), "{not}");
        }
    }

    #[test]
    fn a_package_with_a_foreign_licence_is_named() {
        let mut house = House::default();
        house.files.push(File { path: "deny.toml".into(), text: "allow = [\"MIT\"]".into() });
        house.outside.push(Outside {
            name: "x".into(),
            version: "1.0.0".into(),
            licence: Some("AGPL-3.0".into()),
        });
        house.outside.push(Outside { name: "y".into(), version: "1.0.0".into(), licence: None });
        assert_eq!(check(&house).len(), 2);
    }

    #[test]
    fn a_dependency_without_a_reason_is_named() {
        let mut house = House::default();
        let names = ["anyhow".to_owned(), "left-pad".to_owned()].into();
        house.crates.insert("a".into(), Crate { names, ..Crate::default() });
        house.files.push(File { path: REASONS.into(), text: "| `anyhow` | errors |".into() });
        assert_eq!(
            check(&house),
            ["a names left-pad, which has no reason in docs/design/0002-dependencies.md"]
        );
    }

    #[test]
    fn a_reason_for_what_nobody_uses_is_named() {
        let mut house = House::default();
        house.files.push(File { path: REASONS.into(), text: "| package | for |\n| `a`, `b` | `c` |".into() });
        assert_eq!(check(&house).len(), 2);
    }
}
