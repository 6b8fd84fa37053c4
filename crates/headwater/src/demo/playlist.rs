//! What the checks read of playlists (RFC 8216). It shares no code with the writer.

use anyhow::{Context, Result, bail, ensure};

pub(super) struct Playlist {
    pub(super) init: Option<String>,
    pub(super) target: f64,
    pub(super) segments: Vec<Segment>,
}

pub(super) struct Segment {
    pub(super) address: String,
    pub(super) seconds: f64,
}

impl Playlist {
    pub(super) fn parse(text: &str) -> Result<Self> {
        ensure!(text.starts_with("#EXTM3U"), "not a playlist");
        ensure!(text.contains("#EXT-X-ENDLIST"), "the playlist is not complete");
        let (mut playlist, mut seconds) = (Self { init: None, target: 0.0, segments: Vec::new() }, None);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("#EXTINF:") {
                let number = rest.split(',').next().unwrap_or_default();
                seconds = Some(number.parse().with_context(|| line.to_owned())?);
            } else if let Some(rest) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
                playlist.target = rest.trim().parse().with_context(|| line.to_owned())?;
            } else if line.starts_with("#EXT-X-MAP:") {
                playlist.init = attribute(line, "URI");
            } else if !line.is_empty() && !line.starts_with('#') {
                let Some(seconds) = seconds.take() else { bail!("{line} has no EXTINF") };
                playlist.segments.push(Segment { address: line.to_owned(), seconds });
            }
        }
        ensure!(!playlist.segments.is_empty(), "the playlist has no segments");
        Ok(playlist)
    }
}

/// Addresses in a multivariant playlist: variants and renditions.
pub(super) fn addresses(master: &str) -> Vec<String> {
    let mut found: Vec<String> = master
        .lines()
        .filter_map(|line| {
            if line.starts_with("#EXT-X-MEDIA:") {
                attribute(line, "URI")
            } else {
                (!line.is_empty() && !line.starts_with('#')).then(|| line.to_owned())
            }
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn attribute(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// `relative` as seen from `base`.
pub(super) fn join(base: &str, relative: &str) -> String {
    if relative.starts_with('/') {
        return relative.to_owned();
    }
    let path = base.split('?').next().unwrap_or(base);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{relative}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_are_read() {
        let playlist = Playlist::parse(
            "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:5.005,\n0.m4s\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n",
        )
        .unwrap();
        assert_eq!(playlist.init.as_deref(), Some("init.mp4"));
        assert_eq!(playlist.segments.len(), 2);
        assert!(Playlist::parse("#EXTM3U\n#EXTINF:5,\n0.m4s\n").is_err());
        assert_eq!(join("/a/b/master.m3u8?x=/y", "c/d.m3u8"), "/a/b/c/d.m3u8");
    }
}
