//! How the server stands, for those who look after it: `GET /api/v1/status`.

use axum::{extract::State, http::HeaderMap, response::Response};
use media::transcode::{Level, TranscodeStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{problem::Problem, state::AppState, text::json};

#[derive(Serialize, ToSchema)]
pub(crate) struct ServerStatus {
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
    transcode: TranscodeJson,
}

/// Whether films can be transcoded, and how well what does it is locked in.
#[derive(Serialize, ToSchema)]
pub(crate) struct TranscodeJson {
    /// `ready`, `starting` or `off`.
    state: &'static str,
    /// Why it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the workers gave up; absent until the first has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<SandboxJson>,
    /// The codec libraries and their versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    codecs: Option<String>,
    /// Titles that have a worker.
    titles: usize,
    /// Titles that may have one.
    titles_max: usize,
    workers_started: u64,
    workers_lost: u64,
    done: u64,
    retried: u64,
    refused: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SandboxJson {
    /// `full`, `partial` or `none`.
    level: &'static str,
    /// The kernel refuses them the file system.
    landlock: bool,
    /// The filter of system calls is in force.
    seccomp: bool,
    /// Every resource limit is set.
    limits: bool,
    /// What the kernel did not grant, and what could be done that should have been refused.
    missing: Vec<String>,
}

impl TranscodeJson {
    fn of(status: Option<TranscodeStatus>) -> Self {
        let there = status.is_some();
        let status = status.unwrap_or_default();
        let reason = match there {
            true => status.off,
            false => Some("transcoding is switched off".to_owned()),
        };
        let state = match (&reason, &status.report) {
            (Some(_), _) => "off",
            (None, None) => "starting",
            (None, Some(_)) => "ready",
        };
        let (sandbox, codecs) = match status.report {
            Some(report) => (Some(report.sandbox), report.codecs.ok()),
            None => (None, None),
        };
        let sandbox = sandbox.map(|sandbox| SandboxJson {
            level: Level::as_str(sandbox.level()),
            landlock: sandbox.landlock,
            seccomp: sandbox.seccomp,
            limits: sandbox.limits,
            missing: {
                let escapes = sandbox.escapes.into_iter().map(|what| format!("it could {what}"));
                sandbox.missing.into_iter().chain(escapes).collect()
            },
        });
        Self {
            state,
            reason,
            sandbox,
            codecs,
            titles: status.titles,
            titles_max: status.titles_max,
            workers_started: status.started,
            workers_lost: status.lost,
            done: status.done,
            retried: status.retried,
            refused: status.refused,
        }
    }
}

/// How the server stands.
#[utoipa::path(get, path = "/api/v1/status", tag = "server", responses(
    (status = 200, description = "Version, and how transcoding stands", body = ServerStatus)))]
pub(crate) async fn status(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    let inner = &state.0;
    json(&ServerStatus {
        version: env!("CARGO_PKG_VERSION"),
        uptime: inner.started.elapsed().as_secs(),
        transcode: TranscodeJson::of(inner.media.transcoding()),
    })?
    .answer(&headers)
}
