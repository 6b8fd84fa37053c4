//! Pure crates: no runtime, clock, socket, file or global random generator, neither named nor reached; and `unsafe`
//! stays in its home.

use crate::{
    house::{Crate, House},
    source,
};

/// Packages that a pure crate does not reach, by whole name.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "axum",
    "async-std",
    "smol",
    "async-io",
    "polling",
    "rustix",
    "nix",
    "getrandom",
    "rand",
    "fastrand",
    "tempfile",
    "walkdir",
    "memmap2",
    "notify",
    "chrono",
    "time",
    "openssl",
    "rustls",
];

/// Modules of `std` that product code of a pure crate does not name.
const IMPURE_STD: &[&str] = &["fs", "net", "process", "env", "thread", "os"];

/// Words that product code of a pure crate does not hold.
const IMPURE_WORDS: &[&str] = &["Instant", "SystemTime", "tokio", "thread_rng", "getrandom", "rand"];

/// Crates that may say `unsafe`.
const UNSAFE_HOMES: &[&str] = &["libav"];

pub(crate) fn check(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, found) in &house.crates {
        let sources = || house.files.iter().filter(|f| is_product(found, &f.path));
        if !UNSAFE_HOMES.contains(&name.as_str()) {
            for file in sources() {
                for line in source::lines_with(&source::blank_comments(&file.text), "unsafe") {
                    complaints.push(format!(
                        "{}:{line}: unsafe outside {}",
                        file.path,
                        UNSAFE_HOMES.join(", ")
                    ));
                }
            }
        }
        if !found.pure {
            continue;
        }
        for package in IMPURE.iter().filter(|p| found.reaches.contains(**p)) {
            complaints.push(format!("{name} is pure and reaches {package}"));
        }
        let root = format!("{}/src/lib.rs", found.folder);
        for file in sources() {
            if file.path == root {
                for attribute in ["#![forbid(unsafe_code)]", "#![warn(missing_docs)]"] {
                    if !file.text.contains(attribute) {
                        complaints.push(format!("{}: a pure crate has {attribute}", file.path));
                    }
                }
            }
            let code = source::product(&file.text);
            for word in IMPURE_WORDS {
                for line in source::lines_with(&code, word) {
                    complaints.push(format!("{}:{line}: {word} in a pure crate", file.path));
                }
            }
            for (line, module) in std_modules(&code) {
                complaints.push(format!("{}:{line}: std::{module} in a pure crate", file.path));
            }
        }
    }
    complaints
}

fn is_product(found: &Crate, path: &str) -> bool {
    path.strip_prefix(found.folder.as_str()).is_some_and(|p| p.starts_with("/src/"))
        && path.ends_with(".rs")
        && !path.ends_with("/tests.rs")
        && !path.contains("/tests/")
}

/// Forbidden modules of `std`, named as `std::fs` or in a group, `std::{fs, io}`, with their lines.
fn std_modules(code: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "std::".len()..];
        let firsts = if let Some(group) = rest.strip_prefix('{') {
            first_names(group)
        } else {
            first_names_of_one(rest)
        };
        found.extend(IMPURE_STD.iter().filter(|m| firsts.iter().any(|f| f == *m)).map(|m| (line, *m)));
    }
    found
}

fn first_names_of_one(rest: &str) -> Vec<String> {
    vec![rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()]
}

/// The first name of each entry of a `use` group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut names, mut name, mut depth, mut fresh) = (Vec::new(), String::new(), 0, true);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut name));
                fresh = true;
            }
            c if depth == 0 && fresh && (c.is_alphanumeric() || c == '_') => name.push(c),
            c if c.is_whitespace() => {}
            _ => fresh = false,
        }
    }
    names.push(name);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::File;

    const HEAD: &str = "#![forbid(unsafe_code)]\n#![warn(missing_docs)]\n";

    fn complaints(pure: bool, text: &str) -> Vec<String> {
        let mut house = House::default();
        let found = Crate { pure, folder: "crates/a".into(), ..Crate::default() };
        house.crates.insert("a".into(), found);
        house.files.push(File { path: "crates/a/src/lib.rs".into(), text: format!("{HEAD}{text}") });
        check(&house)
    }

    #[test]
    fn a_pure_crate_that_reads_files_or_clocks_is_named_with_its_line() {
        assert_eq!(complaints(true, "use std::fs;"), ["crates/a/src/lib.rs:3: std::fs in a pure crate"]);
        assert_eq!(complaints(true, "use std::{io, net::TcpStream};").len(), 1);
        assert_eq!(
            complaints(true, "use std::{\n    io::{Read, fs},\n    collections::BTreeMap,\n};").len(),
            0
        );
        assert_eq!(complaints(true, "use std::time::{Duration, Instant};").len(), 1);
        assert_eq!(complaints(true, "async fn f() { tokio::spawn(g()); }").len(), 1);
    }

    #[test]
    fn the_tests_of_a_pure_crate_and_its_comments_may_name_anything() {
        assert_eq!(
            complaints(true, "// std::fs\n#[cfg(test)]\nmod tests { use std::fs; }"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn other_crates_may_read_files_but_say_no_unsafe() {
        assert_eq!(complaints(false, "use std::fs;"), Vec::<String>::new());
        assert_eq!(complaints(false, "fn f() { unsafe { g() } }").len(), 1);
    }

    #[test]
    fn a_pure_crate_that_reaches_a_runtime_is_named() {
        let mut house = House::default();
        let mut found = Crate { pure: true, folder: "crates/a".into(), ..Crate::default() };
        found.reaches.insert("tokio".into());
        house.crates.insert("a".into(), found);
        assert_eq!(check(&house), ["a is pure and reaches tokio"]);
    }

    #[test]
    fn a_pure_crate_forbids_unsafe_code_itself() {
        let mut house = House::default();
        house.crates.insert("a".into(), Crate { pure: true, folder: "crates/a".into(), ..Crate::default() });
        house.files.push(File { path: "crates/a/src/lib.rs".into(), text: "//! A.\n".into() });
        assert_eq!(check(&house).len(), 2);
    }
}
