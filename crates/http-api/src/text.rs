//! Texts we write ourselves (playlists, JSON, the page): compressed where that helps, validated by a tag.
//!
//! Compression is here and not in a layer, because each coding is a representation of its own and must have its own
//! strong tag (RFC 9110 section 8.8.3.3); and because segments and files must never pass through it.

use std::io::Write;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sha1::{Digest, Sha1};

use crate::{
    conditional::{self, Outcome, Validators},
    limits::GZIP_BYTES_MIN,
    problem::Problem,
};

/// How long an answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Ask again each time.
    Revalidate,
    /// The address changes with the content.
    Forever,
}

impl Keep {
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Revalidate => "private, no-cache",
            Self::Forever => "private, max-age=31536000, immutable",
        })
    }
}

/// A text, ready to be answered with.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) keep: Keep,
}

impl Text {
    /// Answers: 304 if the client has it, gzip if it takes it.
    pub(crate) fn answer(self, headers: &HeaderMap) -> Result<Response, Problem> {
        let zip = self.bytes.len() >= GZIP_BYTES_MIN && accepts_gzip(headers);
        let hash = Sha1::digest(&self.bytes);
        let hex: String = hash.iter().take(10).map(|b| format!("{b:02x}")).collect();
        let etag = if zip { format!("\"{hex}-gz\"") } else { format!("\"{hex}\"") };
        let mut response = Response::new(Body::empty());
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, self.keep.header());
        fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        fields.insert(header::ETAG, value(&etag)?);
        match conditional::evaluate(headers, Validators { etag: &etag, modified: None }) {
            Outcome::Proceed => {}
            Outcome::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
            Outcome::Failed => return Err(precondition_failed()),
        }
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        let bytes = if zip {
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip(&self.bytes)?
        } else {
            self.bytes
        };
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *response.body_mut() = Body::from(bytes);
        Ok(response)
    }
}

/// JSON as a [`Text`].
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<Text, Problem> {
    let bytes = serde_json::to_vec(value).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Text { media_type: "application/json", bytes: bytes.into(), keep: Keep::Revalidate })
}

pub(crate) fn precondition_failed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "it is not what If-Match or If-Unmodified-Since asks for",
    )
}

/// A header value of text that is ours.
pub(crate) fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::internal(format!("\"{text}\" does not fit a header")))
}

fn gzip(bytes: &[u8]) -> Result<Bytes, Problem> {
    // Level 3: a playlist of an hour in a third of a millisecond, at most a few per cent larger than the best.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(3));
    let zipped = encoder.write_all(bytes).and_then(|()| encoder.finish());
    zipped.map(Bytes::from).map_err(|error| Problem::internal(format!("gzip: {error}")))
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110 section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    let (mut gzip, mut any) = (None, None);
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        let taken = weight.is_some_and(|q| q > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(taken),
            "*" => any = Some(taken),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_where_it_is_taken() {
        for (field, taken) in [
            ("gzip, deflate, br", true),
            ("br", false),
            ("gzip;q=0", false),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("GZIP;q=0.5", true),
            ("gzip;q=x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, field.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), taken, "{field}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn each_coding_has_its_own_tag() {
        let text = Text { media_type: "text/plain", bytes: vec![b'x'; 4096].into(), keep: Keep::Revalidate };
        let mut headers = HeaderMap::new();
        let plain = text.clone().answer(&headers).unwrap();
        headers.insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let zipped = text.answer(&headers).unwrap();
        assert_ne!(plain.headers()[header::ETAG], zipped.headers()[header::ETAG]);
        assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
    }
}
