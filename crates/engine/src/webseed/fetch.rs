//! Ranges of files from an HTTP server: redirects, answers that lie, and a connection that is used again.

use std::{collections::HashMap, io, ops::Range, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Response, StatusCode, body::Incoming, header};
use metainfo::FileIndex;
use tokio::time::timeout;
use tracker_proto::{Scheme, TrackerUrl};

use crate::egress::{
    Egress,
    guard::Purpose,
    http::{HttpConnection, redirected},
};

const REDIRECTS_MAX: usize = 5;

/// How long a server may think, and how long it may fall silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Redirects of files that are remembered.
const REDIRECTS_KEPT_MAX: usize = 64;

/// Why a range did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It may come later.
    #[error("{reason}")]
    Passing {
        reason: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server has not got this file, or another in its place.
    #[error("{0}")]
    Missing(String),
    /// The server is no web seed.
    #[error("{0}")]
    Hopeless(&'static str),
}

impl Fault {
    fn passing(reason: impl ToString) -> Self {
        Self::Passing { reason: reason.to_string(), retry_after: None }
    }
}

/// A connection to a server, with what it was opened for.
#[derive(Debug)]
struct Open {
    scheme: Scheme,
    host: String,
    port: u16,
    /// A public server may have led here; then it leads nowhere inside.
    from_public: bool,
    connection: HttpConnection,
}

/// One line to a web seed: one request at a time.
#[derive(Debug, Default)]
pub(super) struct Line {
    open: Option<Open>,
    /// Where files turned out to be.
    moved: HashMap<FileIndex, (TrackerUrl, bool)>,
}

/// Bytes of a file, as they come.
#[derive(Debug)]
pub(super) struct Stream {
    body: Incoming,
    left: u64,
    /// The connection is of no use afterwards: the body has more than was asked for.
    whole_file: bool,
}

impl Line {
    /// Asks for bytes `range` of the file at `url`, which has `length` bytes.
    pub(super) async fn ask(
        &mut self,
        egress: &Egress,
        (file, url): (FileIndex, &TrackerUrl),
        range: Range<u64>,
        length: u64,
    ) -> Result<Stream, Fault> {
        let known = self.moved.get(&file).cloned();
        if let Some((url, from_public)) = known {
            match self.follow(egress, (file, url), from_public, &range, length).await {
                // Where it was moved to may be no longer true: ask anew.
                Err(Fault::Missing(_) | Fault::Passing { retry_after: None, .. }) => {
                    self.moved.remove(&file);
                    self.open = None;
                }
                other => return other,
            }
        }
        self.follow(egress, (file, url.clone()), false, &range, length).await
    }

    /// The connection is in the middle of something.
    pub(super) fn hang_up(&mut self) {
        self.open = None;
    }

    async fn follow(
        &mut self,
        egress: &Egress,
        (file, mut url): (FileIndex, TrackerUrl),
        mut from_public: bool,
        range: &Range<u64>,
        length: u64,
    ) -> Result<Stream, Fault> {
        let mut redirects = 0;
        loop {
            let answer = self.get(egress, &url, from_public, range).await?;
            if !answer.status().is_redirection() {
                if redirects > 0 {
                    if self.moved.len() >= REDIRECTS_KEPT_MAX {
                        self.moved.clear();
                    }
                    self.moved.insert(file, (url, from_public));
                }
                return read(answer, range, length);
            }
            from_public |= self.open.take().is_some_and(|open| open.connection.is_public());
            let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
            let next = place.and_then(|place| redirected(&url, url.target(), place));
            let next = next.ok_or_else(|| Fault::passing("redirected to no address"))?;
            if url.scheme() == Scheme::Https && next.scheme() != Scheme::Https {
                return Err(Fault::Missing("redirected from https to http: refused".into()));
            }
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                return Err(Fault::Missing(format!("redirected more than {REDIRECTS_MAX} times")));
            }
            url = next;
        }
    }

    async fn get(
        &mut self,
        egress: &Egress,
        url: &TrackerUrl,
        from_public: bool,
        range: &Range<u64>,
    ) -> Result<Response<Incoming>, Fault> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let used = self.open.as_ref().is_some_and(|open| open.serves(url, from_public));
        if !used {
            self.open = Some(Open::new(egress, url, from_public).await.map_err(Fault::passing)?);
        }
        for last in [!used, true] {
            let Some(open) = &mut self.open else { break };
            let headers = [(header::RANGE, bytes.as_str())];
            let asking = open.connection.get(url.target(), &headers);
            match timeout(SILENCE_MAX, asking).await {
                Ok(Ok(answer)) => return Ok(answer),
                // A server may close what was idle, just now.
                Ok(Err(error)) if !last => {
                    tracing::trace!(%error, "asking again");
                    self.open = Some(Open::new(egress, url, from_public).await.map_err(Fault::passing)?);
                }
                Ok(Err(error)) => return Err(Fault::passing(error)),
                Err(_) => break,
            }
        }
        Err(Fault::passing(format!("no answer within {} s", SILENCE_MAX.as_secs())))
    }
}

impl Open {
    async fn new(egress: &Egress, url: &TrackerUrl, from_public: bool) -> io::Result<Self> {
        let connection = egress.open_http(url, url.target(), Purpose::WebSeed, None, from_public).await?;
        let (scheme, host, port) = (url.scheme(), url.host().to_owned(), url.port());
        Ok(Self { scheme, host, port, from_public, connection })
    }

    /// Whether `url` may be asked for here. What may be asked of a server inside the house depends on there being a query.
    fn serves(&self, url: &TrackerUrl, from_public: bool) -> bool {
        self.connection.is_open()
            && (self.scheme, self.host.as_str(), self.port) == (url.scheme(), url.host(), url.port())
            && self.from_public == from_public
            && !url.target().contains('?')
    }
}

/// Whether an answer is what was asked for.
fn read(answer: Response<Incoming>, range: &Range<u64>, length: u64) -> Result<Stream, Fault> {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let left = range.end - range.start;
    let whole_file = match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let (first, total) = text(header::CONTENT_RANGE)
                .and_then(content_range)
                .ok_or_else(|| Fault::passing("a part of a file, without saying which"))?;
            if first != range.start {
                return Err(Fault::Hopeless("other bytes than were asked for"));
            }
            if total.is_some_and(|total| total != length) {
                return Err(Fault::Missing("a file of another length".into()));
            }
            false
        }
        StatusCode::OK => {
            let stated = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
            if stated.is_some_and(|stated| stated != length) {
                return Err(Fault::Missing("a file of another length".into()));
            }
            if range.start != 0 {
                return Err(Fault::Hopeless("the server sends whole files only"));
            }
            range.end != length
        }
        status @ (StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::FORBIDDEN
        | StatusCode::UNAUTHORIZED
        | StatusCode::RANGE_NOT_SATISFIABLE) => return Err(Fault::Missing(status.to_string())),
        status => {
            let retry_after = text(header::RETRY_AFTER)
                .and_then(|after| after.trim().parse().ok())
                .map(Duration::from_secs);
            return Err(Fault::Passing { reason: status.to_string(), retry_after });
        }
    };
    Ok(Stream { body: answer.into_body(), left, whole_file })
}

/// `bytes 0-99/1000`: the first byte, and how many there are in all, where that is said (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    Some((first, total.trim().parse().ok()))
}

impl Stream {
    /// The next bytes; `None` when all have come. `self` may be dropped then, and `line` used again.
    pub(super) async fn next(&mut self, line: &mut Line) -> Result<Option<Bytes>, Fault> {
        while self.left > 0 {
            let frame = timeout(SILENCE_MAX, self.body.frame())
                .await
                .map_err(|_| Fault::passing(format!("silent for {} s", SILENCE_MAX.as_secs())))?
                .ok_or_else(|| Fault::passing("the answer ends early"))?
                .map_err(Fault::passing)?;
            let Ok(mut data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if self.left < data.len() as u64 {
                // More than was asked for is not ours to judge: hashes do.
                data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.whole_file = true;
            }
            self.left -= data.len() as u64;
            return Ok(Some(data));
        }
        if self.whole_file {
            line.hang_up();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, None)));
        for text in ["", "bytes */10", "items 0-1/2", "bytes 1/2", "bytes -1-2/3"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
