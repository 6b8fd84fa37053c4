//! Errors as problem details (RFC 9457).

use std::fmt;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use library::{OpenError, QueryError};
use media::MediaError;
use serde::Serialize;

use crate::limits::ECHO_CHARS_MAX;

/// An error answer. `reason` is for machines, `detail` names the value for people.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// As it is written.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemJson {
    /// Names the kind of problem; for machines that know RFC 9457.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong, with the value.
    detail: String,
    /// The same as `type`, short: `not_found`, `unknown_container`, …
    reason: &'static str,
}

/// Seconds after which a client may ask again for what is not here yet.
const RETRY_AFTER_SECONDS: &str = "2";

impl Problem {
    /// Any status with its reason.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), headers: Vec::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// 503 with `Retry-After`.
    pub(crate) fn later(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail)
            .with(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS))
    }

    pub(crate) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), reason = self.reason, detail = %self, "request failed");
        } else {
            tracing::debug!(status = self.status.as_u16(), reason = self.reason, detail = %self, "request refused");
        }
        let body = ProblemJson {
            kind: format!("urn:headwater:problem:{}", self.reason.replace('_', "-")),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            reason: self.reason,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A client's value, fit to be repeated in an error: short, without control characters.
pub(crate) fn echo(value: &str) -> String {
    let mut out: String =
        value.chars().take(ECHO_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if value.chars().nth(ECHO_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::bad_request(echo(&error.to_string()))
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match &error {
            OpenError::Io { error: io, .. } if io.kind() == std::io::ErrorKind::NotFound => {
                Self::not_found(format!("the file is gone: {error}"))
            }
            OpenError::Io { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io", error.to_string()),
            OpenError::LedOut { .. } => Self::new(StatusCode::NOT_FOUND, "led_out", error.to_string()),
        }
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        let detail = error.to_string();
        match error {
            MediaError::NotFound { .. } => Self::not_found(detail),
            MediaError::BadRequest { .. } => Self::bad_request(detail),
            MediaError::NotPlayable { reason, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason.as_str(), detail)
            }
            MediaError::Unavailable { .. } => Self::later("unavailable", detail),
            MediaError::Changed { .. } => Self::later("changed", detail),
            MediaError::Io { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io", detail),
            _ => Self::internal(detail),
        }
    }
}
