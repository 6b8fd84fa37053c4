//! What there is: the workspace's crates and their dependencies, packages from outside, tracked text files.
//!
//! Reads `cargo metadata` and `git ls-files`; judges nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The workspace as the rules see it.
#[derive(Default)]
pub(crate) struct House {
    pub(crate) crates: BTreeMap<String, Crate>,
    pub(crate) outside: Vec<Outside>,
    pub(crate) files: Vec<File>,
}

/// A crate of the workspace.
#[derive(Default)]
pub(crate) struct Crate {
    /// As its manifest says: `"4.1"`, `"dev"`.
    pub(crate) floor: Option<String>,
    pub(crate) pure: bool,
    /// Its folder below the root: `crates/container`.
    pub(crate) folder: String,
    /// Crates of the workspace that its code needs.
    pub(crate) needs: BTreeSet<String>,
    /// Crates of the workspace that only its tests need.
    pub(crate) tests_need: BTreeSet<String>,
    /// Packages from outside that it names, for whatever purpose.
    pub(crate) names: BTreeSet<String>,
    /// Packages from outside that its code needs, directly or not.
    pub(crate) reaches: BTreeSet<String>,
}

/// A package from a registry.
pub(crate) struct Outside {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
}

/// A tracked file of text.
pub(crate) struct File {
    /// Below the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    id: String,
    source: Option<String>,
    license: Option<String>,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl House {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root)
            .output()
            .context("cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        let mut house = Self::of(&metadata, &root.to_string_lossy());
        house.files = tracked(root)?;
        Ok(house)
    }

    fn of(metadata: &Metadata, root: &str) -> Self {
        let by_id: BTreeMap<&str, &Package> = metadata.packages.iter().map(|p| (p.id.as_str(), p)).collect();
        let nodes: BTreeMap<&str, &Node> =
            metadata.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let mut house = Self::default();
        for package in &metadata.packages {
            if package.source.is_some() {
                house.outside.push(Outside {
                    name: package.name.clone(),
                    version: package.version.clone(),
                    licence: package.license.clone(),
                });
                continue;
            }
            let own = package.metadata.as_ref().and_then(|m| m.get("headwater"));
            let mut found = Crate {
                floor: own.and_then(|m| m.get("floor")).and_then(|f| f.as_str()).map(str::to_owned),
                pure: own.and_then(|m| m.get("pure")).and_then(serde_json::Value::as_bool).unwrap_or(false),
                folder: package
                    .manifest_path
                    .trim_start_matches(root)
                    .trim_start_matches('/')
                    .trim_end_matches("Cargo.toml")
                    .trim_end_matches('/')
                    .to_owned(),
                ..Crate::default()
            };
            for dependency in &package.dependencies {
                let set = match (dependency.path.is_some(), dependency.kind.as_deref()) {
                    (true, Some("dev")) => &mut found.tests_need,
                    (true, _) => &mut found.needs,
                    (false, _) => &mut found.names,
                };
                set.insert(dependency.name.clone());
            }
            let mut seen = BTreeSet::new();
            let mut open = vec![package.id.as_str()];
            while let Some(id) = open.pop() {
                if !seen.insert(id) {
                    continue;
                }
                if let Some(reached) = by_id.get(id).filter(|p| p.source.is_some()) {
                    found.reaches.insert(reached.name.clone());
                }
                let edges = nodes.get(id).map_or(&[][..], |n| &n.deps);
                // Build scripts and procedural macros run on the builder's machine, not in the crate.
                let runs = |e: &&Edge| e.dep_kinds.iter().any(|k| k.kind.is_none());
                open.extend(edges.iter().filter(runs).map(|e| e.pkg.as_str()));
            }
            house.crates.insert(package.name.clone(), found);
        }
        house
    }
}

fn tracked(root: &Path) -> Result<Vec<File>> {
    let output =
        Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().context("git ls-files")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let mut files = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).split('\0').filter(|p| !p.is_empty()) {
        // What is deleted but not yet committed, and what is not text, has no lines to judge.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
