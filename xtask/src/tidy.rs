//! Tidiness: modules that open with what they are, files of one sitting, inherited lints, no leftovers, no paths of
//! somebody's machine.

use crate::{
    house::{File, House},
    source,
};

/// A file is read in one sitting; style.md says about 600, this is where it becomes a complaint.
const LINES_MAX: usize = 700;

/// Leftovers, put together here so that this file does not hold them.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Where people keep their files: a tracked file that names one works on one machine.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:", "\\Users"),
];

/// Made by tools or written by others.
const FOREIGN: &[&str] = &["Cargo.lock", "package-lock.json", "LICENSE-APACHE", "LICENSE-MIT"];

pub(crate) fn check(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in house.files.iter().filter(|f| !FOREIGN.iter().any(|n| f.path.ends_with(n))) {
        complaints.extend(check_file(file));
    }
    for (name, found) in &house.crates {
        let manifest = format!("{}/Cargo.toml", found.folder);
        let inherits =
            house.files.iter().any(|f| f.path == manifest && f.text.contains("[lints]\nworkspace = true"));
        if !inherits {
            complaints.push(format!("{name}: {manifest} does not inherit the workspace's lints"));
        }
    }
    complaints
}

fn check_file(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let path = &file.path;
    let is_rust = path.ends_with(".rs");
    if is_rust && !file.text.starts_with("//! ") {
        complaints
            .push(format!("{path}:1: a module opens with `//!`: what it is and what it leaves to others"));
    }
    let lines = file.text.lines().count();
    let counted = [".rs", ".ts", ".svelte", ".mjs", ".js", ".py", ".sh"].iter().any(|e| path.ends_with(e));
    if counted && lines > LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, more than {LINES_MAX}: split it by concern"));
    }
    if !path.ends_with(".md") {
        for leftover in LEFTOVERS {
            for line in source::lines_with(&file.text, leftover) {
                complaints.push(format!("{path}:{line}: {leftover} left behind"));
            }
        }
    }
    for machine in MACHINE_PATHS {
        for (number, line) in file.text.lines().enumerate() {
            let hit = line
                .match_indices(machine)
                .any(|(at, _)| starts_a_path(&line[..at]) && names_somebody(&line[at + machine.len()..]));
            if hit {
                complaints.push(format!("{path}:{}: a path of somebody's machine", number + 1));
            }
        }
    }
    complaints
}

/// Whether what stands before a slash lets it begin an absolute path: not `target/…` or `https://host/…`.
fn starts_a_path(before: &str) -> bool {
    !before
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | ')'))
}

/// Whether what follows is more than the one letter of an example, `u` or `x`.
fn names_somebody(after: &str) -> bool {
    after.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::Crate;

    fn file(path: &str, text: &str) -> Vec<String> {
        check_file(&File { path: path.into(), text: text.into() })
    }

    #[test]
    fn a_tidy_module_passes() {
        assert_eq!(file("src/a.rs", "//! What it is.\n\nfn f() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn a_module_that_does_not_say_what_it_is_is_named() {
        assert_eq!(file("src/a.rs", "use b;\n").len(), 1);
    }

    #[test]
    fn a_file_of_two_sittings_is_named() {
        assert_eq!(file("src/a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
    }

    #[test]
    fn leftovers_and_machine_paths_are_named_with_their_lines() {
        let left = file("a.py", concat!("x\n# FIX", "ME later\n"));
        assert_eq!(left, [concat!("a.py:2: FIX", "ME left behind")]);
        assert_eq!(file("a.sh", concat!("cd /ho", "me/jane/films\n")).len(), 1);
        assert_eq!(file("a.sh", concat!("cd /ho", "me/u/films\n")), Vec::<String>::new());
        assert_eq!(
            file("a.md", concat!("see https://example.org/wo", "rk/ and frame/wo", "rk/\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_named() {
        let mut house = House::default();
        house.crates.insert("a".into(), Crate { folder: "crates/a".into(), ..Crate::default() });
        house.files.push(File { path: "crates/a/Cargo.toml".into(), text: "[package]\n".into() });
        assert_eq!(check(&house).len(), 1);
        house.files[0].text.push_str("[lints]\nworkspace = true\n");
        assert_eq!(check(&house), Vec::<String>::new());
    }
}
