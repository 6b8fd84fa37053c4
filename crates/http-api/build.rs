//! Builds the page into the binary: a table of the files below `web/dist`, or of one placeholder where the page was not
//! built (no Node.js needed to build the server).

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

const PLACEHOLDER: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Headwater</title>\
    <h1>Headwater runs</h1><p>This build has no page in it: run <code>make web</code> and build again. \
    The films are at <a href=\"/api/v1/shows\">/api/v1/shows</a>.</p></html>";

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let web = manifest.join("../../web");
    let dist = web.join("dist");
    // Watching a folder that is not there would run this every time: watch its parent until it is.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", if dist.is_dir() { &dist } else { &web }.display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &dist, &mut files)?;
    } else {
        let path = out.join("placeholder.html");
        fs::write(&path, PLACEHOLDER)?;
        files.push(("index.html".to_owned(), path));
    }
    files.sort();
    let mut table = "&[\n".to_owned();
    for (name, path) in files {
        let path = path.canonicalize()?;
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .map_err(io::Error::other)?;
    }
    fs::write(out.join("page.rs"), table + "]\n")
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_none_or(|e| e != "map") {
            let name =
                path.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            files.push((name, path));
        }
    }
    Ok(())
}
