//! `create`: makes a `.torrent` of a file or a folder.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, anyhow};
use metainfo::{Builder, Content, Metainfo, NewFile, PieceLength, limits::FILES_MAX};

use super::{
    hash, human, inspect, printable,
    progress::{byte_bar, note},
};
use crate::{cli::CreateArgs, config::parse_size, failure::Failure, say};

pub(crate) fn create(args: &CreateArgs) -> Result<(), Failure> {
    let piece_length = piece_length(&args.piece_length)?;
    let shown = args.path.display();
    let path = args.path.canonicalize().with_context(|| format!("{shown}"))?;
    let name = path
        .file_name()
        .ok_or_else(|| anyhow!("{shown}: has no name to give the torrent"))?
        .to_str()
        .ok_or_else(|| anyhow!("{shown}: its name is not UTF-8: rename it first"))?
        .to_owned();
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.torrent")));
    if !to_stdout && !args.force && output.exists() {
        return Err(Failure::Failed(anyhow!("{} is there already: --force replaces it", output.display())));
    }
    let (files, content) = content(&path)?;
    let builder = Builder {
        piece_length,
        private: args.private,
        trackers: args.tracker.iter().map(|tier| tier.split(',').map(str::to_owned).collect()).collect(),
        web_seeds: args.web_seed.clone(),
        comment: args.comment.clone(),
        created_by: Some(concat!("Headwater ", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .map(|since| since.as_secs()),
        source: args.source.clone(),
        ..Builder::new(name, content)
    };
    // What is wrong with names and addresses is said before an hour of hashing.
    builder.check().with_context(|| format!("{shown}"))?;
    let layout = builder.layout().with_context(|| format!("{shown}"))?;
    let bar = byte_bar(layout.total(), "hashing");
    let hashes = hash::pieces(&files, &layout, &|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    let metainfo = builder.build(&hashes).with_context(|| format!("{shown}"))?;
    if to_stdout {
        return Ok(std::io::stdout().write_all(metainfo.bytes()).context("stdout")?);
    }
    inspect::save(&output, &metainfo)?;
    tell(&output, &metainfo, args.json)
}

fn tell(output: &Path, metainfo: &Metainfo, json: bool) -> Result<(), Failure> {
    let (info, layout) = (metainfo.info(), metainfo.info().layout());
    if json {
        let line = serde_json::json!({
            "output": output.display().to_string(),
            "name": info.name(),
            "info_hash": info.info_hash(),
            "magnet": metainfo.magnet().to_string(),
            "size": layout.total(),
            "piece_length": layout.piece_length(),
            "pieces": layout.pieces(),
        });
        say(line);
        return Ok(());
    }
    say(format_args!("wrote {}", output.display()));
    say(format_args!(
        "{}: {} in {} pieces of {}",
        printable(info.name()),
        human(layout.total()),
        layout.pieces(),
        human(u64::from(layout.piece_length()))
    ));
    say(format_args!("info-hash {}", info.info_hash()));
    say(metainfo.magnet());
    Ok(())
}

fn piece_length(text: &str) -> Result<PieceLength, Failure> {
    if text == "auto" {
        return Ok(PieceLength::Auto);
    }
    let bytes = parse_size(text).and_then(|bytes| u32::try_from(bytes).ok());
    bytes.filter(|bytes| bytes.is_power_of_two() && *bytes >= 16 << 10).map(PieceLength::Bytes).ok_or_else(
        || {
            Failure::Usage(format!(
                "--piece-length is \"{}\": expected auto or a power of two from 16KiB on, such as 1MiB",
                text.escape_debug()
            ))
        },
    )
}

/// The files in the order of their bytes, and what the torrent says of them.
fn content(path: &Path) -> Result<(Vec<hash::Part>, Content), Failure> {
    let meta = path.metadata().with_context(|| format!("{}", path.display()))?;
    if meta.is_file() {
        let part = hash::Part { path: path.to_owned(), length: meta.len() };
        return Ok((vec![part], Content::File { length: meta.len() }));
    }
    let mut found = Vec::new();
    walk(path, &mut Vec::new(), &mut found)?;
    // The same order everywhere, whatever the file system says first.
    found.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    let (parts, files) = found.into_iter().unzip();
    Ok((parts, Content::Folder(files)))
}

fn walk(dir: &Path, inside: &mut Vec<String>, found: &mut Vec<(hash::Part, NewFile)>) -> Result<(), Failure> {
    for entry in fs::read_dir(dir).with_context(|| format!("folder {}", dir.display()))? {
        let entry = entry.with_context(|| format!("folder {}", dir.display()))?;
        let path = entry.path();
        let shown = path.display();
        let kind = entry.file_type().with_context(|| format!("{shown}"))?;
        if !kind.is_dir() && !kind.is_file() {
            note(format_args!("left out, for it is neither a file nor a folder: {shown}"));
            continue;
        }
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| anyhow!("{shown}: its name is not UTF-8: rename it first"))?;
        inside.push(name.to_owned());
        if kind.is_dir() {
            walk(&path, inside, found)?;
        } else {
            let meta = entry.metadata().with_context(|| format!("{shown}"))?;
            let executable = meta.permissions().mode() & 0o100 != 0;
            let file = NewFile { path: inside.clone(), length: meta.len(), executable };
            found.push((hash::Part { path: path.clone(), length: meta.len() }, file));
            if found.len() > FILES_MAX {
                return Err(Failure::Failed(anyhow!("more than {FILES_MAX} files")));
            }
        }
        inside.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_one_order_and_links_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in [("b/2", "22"), ("b/1", "1"), ("a", "aaa"), ("c", "")] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let (parts, content) = content(dir.path()).unwrap();
        let Content::Folder(files) = content else { panic!("a folder") };
        let listed: Vec<(String, u64)> =
            files.iter().map(|file| (file.path.join("/"), file.length)).collect();
        assert_eq!(listed, [("a".into(), 3), ("b/1".into(), 1), ("b/2".into(), 2), ("c".into(), 0)]);
        assert_eq!(parts.iter().map(|part| part.length).collect::<Vec<_>>(), [3, 1, 2, 0]);
    }

    #[test]
    fn piece_lengths_are_powers_of_two() {
        assert_eq!(piece_length("auto").unwrap(), PieceLength::Auto);
        assert_eq!(piece_length("1MiB").unwrap(), PieceLength::Bytes(1 << 20));
        for text in ["1MB", "8KiB", "0", "much", "8GiB"] {
            assert!(piece_length(text).is_err(), "{text}");
        }
    }
}
