//! The bytes of a file themselves, of the library or of a torrent: `GET /api/v1/video/{video_id}/file[/{name}]`, with ranges (RFC 9110 section 14).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use byte_source::{ByteRange, ByteSource};
use bytes::Bytes;
use library::Video;
use media::FileSource;

use crate::{
    body::{Part, PartsBody},
    conditional::{self, Outcome, Validators},
    disposition::{content_disposition, media_type},
    extract::Caught,
    problem::{Problem, ProblemJson},
    range::{Asked, parse_range},
    state::AppState,
    text::{Keep, precondition_failed, value},
    torrents::{self, TorrentFile},
};

/// The file as it is.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/file", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"),
        ("Range" = Option<String>, Header, description = "RFC 9110: single, suffix, multiple")),
    responses(
        (status = 200, description = "The bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "Some of the bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The client has it"),
        (status = 400, description = "Not an id", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "Not the wanted one", body = ProblemJson, content_type = "application/problem+json"),
        (status = 416, description = "No such bytes", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "Not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn file(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&state, &id, &method, &headers).await
}

/// The file as it is, with a name at the end of the address for players that look at it. The name is not checked.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/file/{name}", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"),
        ("name" = String, Path, description = "Anything; usually the file's name")),
    responses(
        (status = 200, description = "The bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "Some of the bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 400, description = "Not an id", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn named_file(
    State(state): State<AppState>,
    Caught((id, _name)): Caught<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&state, &id, &method, &headers).await
}

async fn send(state: &AppState, id: &str, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
    if let Some(file) = TorrentFile::parse(id) {
        return torrents::send_file(state, file, method, headers).await;
    }
    let video = state.video(id)?;
    let source = open(state, &video).await?;
    let modified = modified(&source);
    if modified != video.modified {
        // The same length, another time: perhaps other content. The tag says so at once, the id after the next scan.
        state.0.library.request_scan();
    }
    let etag = etag(&video, modified);
    let mut answer = FileAnswer {
        len: source.len(),
        etag: &etag,
        modified: Some(modified),
        media_type: media_type(&video.file_name()),
    }
    .respond(method, headers)?;
    answer
        .response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, content_disposition("inline", &video.file_name()));
    let mut response = answer.response;
    if !answer.parts.is_empty() {
        let body = PartsBody::new(source, answer.parts, Arc::clone(&state.0.metrics));
        *response.body_mut() = Body::new(body);
    }
    Ok(response)
}

/// Opens the file, if it is still the one that was scanned.
async fn open(state: &AppState, video: &Arc<Video>) -> Result<Arc<FileSource>, Problem> {
    let source = match FileSource::open(&state.0.places.of(video).await?).await {
        Ok(source) => source,
        Err(error) => {
            state.0.library.request_scan();
            return Err(error.into());
        }
    };
    if source.len() != video.size {
        state.0.library.request_scan();
        let detail = format!("{}: it was {} bytes long and is now {}", video.id, video.size, source.len());
        return Err(Problem::later("changed", detail));
    }
    Ok(Arc::new(source))
}

fn modified(source: &FileSource) -> SystemTime {
    let since = u64::try_from(source.identity().modified_ns).map_or(Duration::ZERO, Duration::from_nanos);
    SystemTime::UNIX_EPOCH + since
}

/// Strong: of the content's fingerprint and the time of change.
fn etag(video: &Video, modified: SystemTime) -> String {
    let changed = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let mut fingerprint = video.fingerprint.hex();
    fingerprint.truncate(20);
    format!("\"{fingerprint}-{changed:x}\"")
}

/// What is known of a file before its bytes.
pub(crate) struct FileAnswer<'a> {
    pub(crate) len: u64,
    pub(crate) etag: &'a str,
    /// Last change, where there is a meaningful one.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) media_type: &'static str,
}

/// A head, and what its body consists of.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) parts: Vec<Part>,
}

impl FileAnswer<'_> {
    /// Preconditions, then the range (RFC 9110 sections 13.2.2 and 14.2).
    pub(crate) fn respond(&self, method: &Method, headers: &HeaderMap) -> Result<Answer, Problem> {
        let validators = Validators { etag: self.etag, modified: self.modified };
        let mut response = Response::new(Body::empty());
        let fields = response.headers_mut();
        fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        fields.insert(header::CACHE_CONTROL, Keep::Revalidate.header());
        fields.insert(header::ETAG, value(self.etag)?);
        if let Some(modified) = self.modified {
            fields.insert(header::LAST_MODIFIED, value(&httpdate::fmt_http_date(modified))?);
        }
        match conditional::evaluate(headers, validators) {
            Outcome::Failed => return Err(precondition_failed()),
            Outcome::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(Answer { response, parts: Vec::new() });
            }
            Outcome::Proceed => {}
        }
        let asked = match headers.get(header::RANGE) {
            // Range has a meaning for GET only.
            Some(field) if *method == Method::GET && conditional::range_allowed(headers, validators) => {
                field.to_str().map_or(Asked::Whole, |field| parse_range(field, self.len))
            }
            _ => Asked::Whole,
        };
        match asked {
            Asked::Whole => {
                fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
                fields.insert(header::CONTENT_LENGTH, HeaderValue::from(self.len));
                Ok(Answer { response, parts: vec![Part::Source(ByteRange::new(0, self.len))] })
            }
            Asked::Unsatisfiable => {
                let detail = format!(
                    "Range \"{}\" asks for no byte of the {} there are",
                    crate::problem::echo(&String::from_utf8_lossy(
                        headers.get(header::RANGE).map_or(&[][..], HeaderValue::as_bytes)
                    )),
                    self.len
                );
                Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail)
                    .with(header::CONTENT_RANGE, value(&format!("bytes */{}", self.len))?)
                    .with(header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
            }
            Asked::Ranges(ranges) => {
                let parts = match ranges.as_slice() {
                    [one] => {
                        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
                        fields.insert(header::CONTENT_RANGE, value(&content_range(*one, self.len))?);
                        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(one.len()));
                        vec![Part::Source(*one)]
                    }
                    many => {
                        let boundary = self.boundary();
                        let parts = self.multipart(many, &boundary);
                        let len: u64 = parts
                            .iter()
                            .map(|part| match part {
                                Part::Inline(bytes) => bytes.len() as u64,
                                Part::Source(range) => range.len(),
                            })
                            .sum();
                        let kind = format!("multipart/byteranges; boundary={boundary}");
                        fields.insert(header::CONTENT_TYPE, value(&kind)?);
                        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
                        parts
                    }
                };
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                Ok(Answer { response, parts })
            }
        }
    }

    /// Made of the tag, which no part of a film repeats by chance, between two hyphens.
    fn boundary(&self) -> String {
        let tag: String = self.etag.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        format!("headwater-{tag}")
    }

    /// RFC 9110 section 14.6.
    fn multipart(&self, ranges: &[ByteRange], boundary: &str) -> Vec<Part> {
        let mut parts = Vec::with_capacity(ranges.len() * 2 + 1);
        for (i, range) in ranges.iter().enumerate() {
            let head = format!(
                "{}--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                if i == 0 { "" } else { "\r\n" },
                self.media_type,
                content_range(*range, self.len)
            );
            parts.push(Part::Inline(Bytes::from(head)));
            parts.push(Part::Source(*range));
        }
        parts.push(Part::Inline(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        parts
    }
}

fn content_range(range: ByteRange, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start(), range.end().saturating_sub(1))
}
