//! Just enough of an HLS playlist (RFC 8216) to compare it with what is measured.

use anyhow::{Context, Result, ensure};

/// One segment of a media playlist.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Absolute path.
    pub uri: String,
    /// EXTINF in seconds.
    pub duration: f64,
}

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// EXT-X-TARGETDURATION in seconds.
    pub target: f64,
    /// Absolute path of EXT-X-MAP.
    pub map: Option<String>,
    /// EXT-X-ENDLIST is there.
    pub ended: bool,
    /// EXT-X-INDEPENDENT-SEGMENTS is there.
    pub independent: bool,
    /// Its segments.
    pub segments: Vec<Segment>,
}

impl Media {
    /// Reads the text of the playlist at `path`.
    ///
    /// # Errors
    /// A number that is none, or no segment at all.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        ensure!(text.starts_with("#EXTM3U"), "{path} does not begin with #EXTM3U");
        let mut media = Self::default();
        let mut duration = None;
        for line in text.lines().map(str::trim) {
            if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
                media.target = value.parse().context("EXT-X-TARGETDURATION")?;
            } else if let Some(value) = line.strip_prefix("#EXTINF:") {
                duration = Some(value.split(',').next().unwrap_or_default().parse().context("EXTINF")?);
            } else if let Some(value) = line.strip_prefix("#EXT-X-MAP:") {
                media.map = attribute(value, "URI").map(|uri| resolve(path, &uri));
            } else if line == "#EXT-X-ENDLIST" {
                media.ended = true;
            } else if line == "#EXT-X-INDEPENDENT-SEGMENTS" {
                media.independent = true;
            } else if !line.is_empty() && !line.starts_with('#') {
                let duration = duration.take().with_context(|| format!("{line} without EXTINF"))?;
                media.segments.push(Segment { uri: resolve(path, line), duration });
            }
        }
        ensure!(!media.segments.is_empty(), "{path} lists no segment");
        Ok(media)
    }
}

/// One EXT-X-STREAM-INF or EXT-X-MEDIA line of a multivariant playlist.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The attribute list.
    attributes: String,
    /// Absolute path, where there is one.
    pub uri: Option<String>,
}

impl Entry {
    /// An attribute's value without its quotes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        attribute(&self.attributes, name)
    }
}

/// A multivariant playlist.
#[derive(Clone, Debug, Default)]
pub struct Master {
    /// EXT-X-STREAM-INF, in order.
    pub variants: Vec<Entry>,
    /// EXT-X-MEDIA, in order.
    pub media: Vec<Entry>,
    /// EXT-X-I-FRAME-STREAM-INF, in order.
    pub iframes: Vec<Entry>,
}

impl Master {
    /// Reads the text of the playlist at `path`.
    ///
    /// # Errors
    /// It is no playlist, or lists no variant.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        ensure!(text.starts_with("#EXTM3U"), "{path} does not begin with #EXTM3U");
        let mut master = Self::default();
        let mut lines = text.lines().map(str::trim);
        let uri = |attributes: &str| attribute(attributes, "URI").map(|uri| resolve(path, &uri));
        while let Some(line) = lines.next() {
            if let Some(value) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                let next = lines.next().context("a variant without a URI")?;
                master.variants.push(Entry { attributes: value.to_owned(), uri: Some(resolve(path, next)) });
            } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA:") {
                master.media.push(Entry { attributes: value.to_owned(), uri: uri(value) });
            } else if let Some(value) = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:") {
                master.iframes.push(Entry { attributes: value.to_owned(), uri: uri(value) });
            }
        }
        ensure!(!master.variants.is_empty(), "{path} lists no variant");
        Ok(master)
    }
}

/// The value of `name` in an attribute list, without its quotes.
fn attribute(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim() == name {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

fn resolve(base: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let path = base.split('?').next().unwrap_or_default();
    format!("{}/{uri}", path.rsplit_once('/').map_or("", |(dir, _)| dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_with_commas_in_quotes_are_read_whole() {
        let list = r#"BANDWIDTH=10,CODECS="avc1.640028,mp4a.40.2",AUDIO="a""#;
        assert_eq!(attribute(list, "CODECS").as_deref(), Some("avc1.640028,mp4a.40.2"));
        assert_eq!(attribute(list, "BANDWIDTH").as_deref(), Some("10"));
        assert_eq!(attribute(list, "AUDIO").as_deref(), Some("a"));
        assert_eq!(attribute(list, "NAME"), None);
    }
}
