//! One video: what is in it, its playlists, its segments, its attachments.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use media::{
    CodecList, MasterOptions, MediaError, RenditionId, SegmentBody, SegmentFormat, SegmentIndex, Title,
    TitleInfo,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::SegmentResponseBody,
    conditional::{self, Outcome, Validators},
    disposition::{attachment_type, content_disposition},
    extract::{Caught, Params},
    limits::CODECS_BYTES_MAX,
    problem::{Problem, ProblemJson, echo},
    progressive::Progressive,
    prompt::{conditions, prompt},
    state::AppState,
    subtitles::{self, SubtitleJson},
    text::{Keep, Text, json, precondition_failed, value},
};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlayerQuery {
    /// What the player can decode: RFC 6381 codec strings, comma-separated. Absent: anything.
    codecs: Option<String>,
    /// `fmp4` (default) or `ts`.
    container: Option<String>,
}

impl PlayerQuery {
    fn codecs(&self) -> Result<Option<CodecList>, Problem> {
        let Some(list) = &self.codecs else { return Ok(None) };
        if list.len() > CODECS_BYTES_MAX {
            return Err(Problem::bad_request(format!(
                "codecs is {} bytes long, the limit is {CODECS_BYTES_MAX}",
                list.len()
            )));
        }
        Ok(Some(CodecList::parse(list)))
    }

    fn format(&self) -> Result<SegmentFormat, Problem> {
        self.container
            .as_deref()
            .map_or(Ok(SegmentFormat::Fmp4), |name| name.parse().map_err(Problem::bad_request))
    }
}

/// A video: its file and what is in it.
#[derive(Serialize, ToSchema)]
#[schema(as = Video)]
struct VideoJson {
    video_id: String,
    /// `null` of a torrent's file.
    show_id: Option<String>,
    /// What to call it.
    title: String,
    /// Path relative to its library folder, or within its torrent.
    file: String,
    /// Bytes.
    size: u64,
    /// Text tracks of the file and subtitle files beside it.
    subtitles: Vec<SubtitleJson>,
    /// Container, duration, tracks, chapters, renditions, decision; see the fields of the answer.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    content: ContentJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ContentJson {
    Opened(Box<Opened>),
    /// Not readable: the file can still be had as it is.
    Refused {
        tracks: [(); 0],
        renditions: [(); 0],
        decision: Refusal,
    },
}

#[derive(Serialize)]
struct Opened {
    format: container::Format,
    name: Option<String>,
    duration: f64,
    tracks: Vec<media::TrackInfo>,
    chapters: Vec<media::ChapterInfo>,
    attachments: Vec<media::AttachmentInfo>,
    keyframes: media::KeyframeInfo,
    renditions: Vec<media::RenditionInfo>,
    warnings: Vec<String>,
    decision: media::Decision,
}

impl From<TitleInfo> for Opened {
    fn from(info: TitleInfo) -> Self {
        Self {
            format: info.format,
            name: info.title,
            duration: info.duration,
            tracks: info.tracks,
            chapters: info.chapters,
            attachments: info.attachments,
            keyframes: info.keyframes,
            renditions: info.renditions,
            warnings: info.warnings,
            decision: info.decision,
        }
    }
}

#[derive(Serialize)]
struct Refusal {
    mode: &'static str,
    /// For people.
    reason: String,
    /// For machines; the `reason` of the problem that the playlists answer with.
    code: &'static str,
}

/// What is known of a video, and how a player with these codecs would be given it.
#[utoipa::path(get, path = "/api/v1/video/{video_id}", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"), PlayerQuery),
    responses(
        (status = 200, description = "The video", body = VideoJson),
        (status = 400, description = "Not an id", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "Not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn video(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    Params(player): Params<PlayerQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let headers = conditions(&state, &id, headers);
    let answer = video_answer(state.clone(), id.clone(), player.codecs()?, headers);
    prompt(&state, &id, "application/json", answer).await
}

async fn video_answer(
    state: AppState,
    id: String,
    codecs: Option<CodecList>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let video = state.playable(&id).await?;
    let (mut subtitles, content) = match video.try_open(&state).await? {
        Ok(title) => {
            let info = title.info(codecs.as_ref())?;
            (subtitles::of_tracks(&info), ContentJson::Opened(Box::new(info.into())))
        }
        Err(MediaError::NotPlayable { reason, detail, .. }) => {
            let decision = Refusal { mode: "refused", reason: detail, code: reason.as_str() };
            (Vec::new(), ContentJson::Refused { tracks: [], renditions: [], decision })
        }
        Err(error) => return Err(error.into()),
    };
    subtitles.extend(subtitles::of_siblings(&video.siblings()));
    let body = VideoJson {
        video_id: id,
        show_id: video.show_id().map(ToOwned::to_owned),
        title: video.title(),
        file: video.shown_path(),
        size: video.size(),
        subtitles,
        content,
    };
    json(&body)?.answer(&headers)
}

/// The multivariant playlist (RFC 8216).
#[utoipa::path(get, path = "/api/v1/video/{video_id}/master.m3u8", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"), PlayerQuery),
    responses(
        (status = 200, description = "The playlist", content_type = "application/vnd.apple.mpegurl", body = String),
        (status = 400, description = "A parameter that makes no sense", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be played, and why", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "Not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn master(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    Params(player): Params<PlayerQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = MasterOptions { codecs: player.codecs()?, format: player.format()? };
    let (asked, headers) = (state.clone(), conditions(&state, &id, headers));
    prompt(&state, &id.clone(), PLAYLIST, async move {
        let title = asked.playable(&id).await?.open(&asked).await?;
        playlist_answer(PLAYLIST, title.master(&options)?.into(), &headers)
    })
    .await
}

/// The MPEG-DASH manifest of the same segments.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/manifest.mpd", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file")),
    responses(
        (status = 200, description = "The manifest", content_type = "application/dash+xml", body = String),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be played, and why", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn dash(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    Params(player): Params<PlayerQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = MasterOptions { codecs: player.codecs()?, format: SegmentFormat::Fmp4 };
    let (asked, headers) = (state.clone(), conditions(&state, &id, headers));
    prompt(&state, &id.clone(), DASH, async move {
        let title = asked.playable(&id).await?.open(&asked).await?;
        playlist_answer(DASH, title.dash(&options)?, &headers)
    })
    .await
}

fn playlist_answer(media_type: &'static str, bytes: Bytes, headers: &HeaderMap) -> Result<Response, Problem> {
    Text { media_type, bytes, keep: Keep::Revalidate }.answer(headers)
}

/// What a rendition consists of, by the last part of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Playlist,
    Init,
    Segment(SegmentIndex, SegmentFormat, &'static str),
    Text(SegmentIndex),
}

impl Piece {
    fn media_type(self) -> &'static str {
        match self {
            Self::Playlist => PLAYLIST,
            Self::Init => "video/mp4",
            Self::Segment(_, _, media_type) => media_type,
            Self::Text(_) => "text/vtt; charset=utf-8",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let number = |digits: &str| {
            let canonical =
                digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
            digits.parse().ok().filter(|_| canonical).map(SegmentIndex::new)
        };
        match name.rsplit_once('.')? {
            ("stream", "m3u8") => Some(Self::Playlist),
            ("init", "mp4") => Some(Self::Init),
            (k, "m4s") => Some(Self::Segment(number(k)?, SegmentFormat::Fmp4, "video/iso.segment")),
            (k, "ts") => Some(Self::Segment(number(k)?, SegmentFormat::Ts, "video/mp2t")),
            (k, "vtt") => Some(Self::Text(number(k)?)),
            _ => None,
        }
    }
}

/// Of a rendition: `stream.m3u8`, `init.mp4`, or a segment `{k}.m4s`, `{k}.ts`, `{k}.vtt`, counted from 0.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/{rendition}/{piece}", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"),
        ("rendition" = String, Path, description = "`source`, `audio-{n}`, `subtitles-{n}`, `iframes`"),
        ("piece" = String, Path, description = "`stream.m3u8`, `init.mp4`, `{k}.m4s`, `{k}.ts`, `{k}.vtt`"),
        PlayerQuery),
    responses(
        (status = 200, description = "A playlist or a segment", content(
            (String = "application/vnd.apple.mpegurl"), (Vec<u8> = "video/mp4"), (Vec<u8> = "video/iso.segment"),
            (Vec<u8> = "video/mp2t"), (String = "text/vtt"))),
        (status = 304, description = "The client has it"),
        (status = 400, description = "A parameter that makes no sense", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such thing", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be played, and why", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "Not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn rendition(
    State(state): State<AppState>,
    Caught((id, rendition, name)): Caught<(String, String, String)>,
    Params(player): Params<PlayerQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = player.format()?;
    let shown = echo(&id);
    let rendition: RenditionId = rendition.parse().map_err(|_| {
        Problem::not_found(format!("{shown}: there is no rendition \"{}\"", echo(&rendition)))
    })?;
    let piece = Piece::parse(&name).ok_or_else(|| {
        Problem::not_found(format!("{shown}: there is no \"{}\" of {rendition}", echo(&name)))
    })?;
    let headers = conditions(&state, &id, headers);
    let answer = piece_answer(state.clone(), id.clone(), rendition, piece, format, headers);
    prompt(&state, &id, piece.media_type(), answer).await
}

async fn piece_answer(
    state: AppState,
    id: String,
    rendition: RenditionId,
    piece: Piece,
    format: SegmentFormat,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let title = state.playable(&id).await?.open(&state).await?;
    match piece {
        Piece::Playlist => playlist_answer(PLAYLIST, title.playlist(rendition, format)?, &headers),
        Piece::Init => {
            let bytes = title.init(rendition).await?;
            let etag = title.etag(&format!("{rendition}-init"));
            let mut response = match kept(&etag, &headers)? {
                Some(not_modified) => return Ok(not_modified),
                None => Response::new(Body::empty()),
            };
            segment_fields(&mut response, "video/mp4", &etag, Some(bytes.len() as u64))?;
            *response.body_mut() = Body::from(bytes);
            Ok(response)
        }
        Piece::Segment(index, format, media_type) => {
            let asked = AskedSegment { title: &title, rendition, index, format, media_type };
            asked.answer(&state, &headers).await
        }
        Piece::Text(index) => {
            let asked = AskedSegment { title: &title, rendition, index, format, media_type: "text/vtt" };
            asked.answer(&state, &headers).await
        }
    }
}

struct AskedSegment<'a> {
    title: &'a Arc<Title>,
    rendition: RenditionId,
    index: SegmentIndex,
    format: SegmentFormat,
    media_type: &'static str,
}

impl AskedSegment<'_> {
    async fn answer(&self, state: &AppState, headers: &HeaderMap) -> Result<Response, Problem> {
        let is_text = matches!(self.rendition, RenditionId::Subtitles(_));
        if is_text != (self.media_type == "text/vtt") {
            return Err(Problem::not_found(format!(
                "{}: {} has no segments of that form",
                self.title.video_id(),
                self.rendition
            )));
        }
        // A client that has it is told so before anything is made.
        let etag = self.title.segment_etag(self.rendition, self.index, self.format)?;
        if let Some(not_modified) = kept(&etag, headers)? {
            return Ok(not_modified);
        }
        let mut segment = self.title.segment(self.rendition, self.index, self.format).await?;
        if !self.title.is_here() {
            // Nobody may have the rest: that is said before the head is sent.
            segment.body.begin().await?;
        }
        let kind = if is_text { "text/vtt; charset=utf-8" } else { self.media_type };
        stream(state, segment, kind)
    }
}

pub(crate) fn stream(
    state: &AppState,
    segment: SegmentBody,
    media_type: &'static str,
) -> Result<Response, Problem> {
    let mut response = Response::new(Body::empty());
    segment_fields(&mut response, media_type, &segment.etag, segment.len)?;
    let body = SegmentResponseBody::new(segment.body, segment.len, Arc::clone(&state.0.metrics));
    *response.body_mut() = Body::new(body);
    Ok(response)
}

/// 304, if the client has it.
pub(crate) fn kept(etag: &str, headers: &HeaderMap) -> Result<Option<Response>, Problem> {
    match conditional::evaluate(headers, Validators { etag, modified: None }) {
        Outcome::Proceed => Ok(None),
        Outcome::Failed => Err(precondition_failed()),
        Outcome::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().insert(header::ETAG, value(etag)?);
            response.headers_mut().insert(header::CACHE_CONTROL, Keep::Forever.header());
            Ok(Some(response))
        }
    }
}

fn segment_fields(
    response: &mut Response,
    media_type: &'static str,
    etag: &str,
    len: Option<u64>,
) -> Result<(), Problem> {
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(header::CACHE_CONTROL, Keep::Forever.header());
    fields.insert(header::ETAG, value(etag)?);
    if let Some(len) = len {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    }
    Ok(())
}

/// A file within the film (a font): its place in the list of attachments, from 0.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/attachments/{n}", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"),
        ("n" = usize, Path, description = "Place in the list, from 0")),
    responses(
        (status = 200, description = "Its bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 400, description = "Not a number", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such attachment", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn attachment(
    State(state): State<AppState>,
    Caught((id, n)): Caught<(String, usize)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let video = state.playable(&id).await?;
    let title = video.open(&state).await?;
    let attachment = title
        .movie()
        .attachments
        .get(n)
        .ok_or_else(|| Problem::not_found(format!("{}: there is no attachment {n}", video.id())))?;
    let etag = title.etag(&format!("attachment-{n}"));
    if let Some(not_modified) = kept(&etag, &headers)? {
        return Ok(not_modified);
    }
    let (_stated, body) = title.attachment(&attachment.name).await?;
    let mut response = stream(&state, body, attachment_type(&attachment.name))?;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_DISPOSITION, content_disposition("attachment", &attachment.name));
    Ok(response)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProgressiveQuery {
    /// Second to begin at.
    t: Option<String>,
    /// Lines of the picture; not built yet, so it must be absent.
    height: Option<String>,
}

/// One progressive fragmented MP4 from the segment that holds second `t`, for players that know neither HLS nor DASH.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/stream.mp4", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"), ProgressiveQuery),
    responses(
        (status = 200, description = "The film", content_type = "video/mp4", body = Vec<u8>),
        (status = 400, description = "A parameter that makes no sense", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be played, and why", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn progressive(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    Params(asked): Params<ProgressiveQuery>,
    method: Method,
) -> Result<Response, Problem> {
    let from = match asked.t.as_deref() {
        None => 0.0,
        Some(text) => text.parse::<f64>().ok().filter(|t| t.is_finite() && *t >= 0.0).ok_or_else(|| {
            Problem::bad_request(format!("t is \"{}\": not a second of a film", echo(text)))
        })?,
    };
    if let Some(height) = &asked.height {
        let detail = format!("height is \"{}\": this stream is cut only, leave it out", echo(height));
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "transcoding_unavailable", detail));
    }
    let asked = state.clone();
    prompt(&state, &id.clone(), "video/mp4", async move {
        let title = asked.playable(&id).await?.open(&asked).await?;
        Ok(progressive_answer(Progressive::new(title, from)?, &method))
    })
    .await
}

fn progressive_answer(progressive: Progressive, method: &Method) -> Response {
    let mut response = Response::new(Body::empty());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Its length is not known before its last segment is: seeking is by `t`.
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    if method == Method::GET {
        *response.body_mut() = Body::from_stream(progressive.stream());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_one_spelling() {
        use SegmentFormat::{Fmp4, Ts};
        assert_eq!(Piece::parse("stream.m3u8"), Some(Piece::Playlist));
        assert_eq!(Piece::parse("init.mp4"), Some(Piece::Init));
        assert_eq!(
            Piece::parse("0.m4s"),
            Some(Piece::Segment(SegmentIndex::new(0), Fmp4, "video/iso.segment"))
        );
        assert_eq!(Piece::parse("17.ts"), Some(Piece::Segment(SegmentIndex::new(17), Ts, "video/mp2t")));
        assert_eq!(Piece::parse("3.vtt"), Some(Piece::Text(SegmentIndex::new(3))));
        for name in [
            "",
            ".",
            "m4s",
            "01.m4s",
            "+1.m4s",
            "-1.ts",
            "4294967296.ts",
            "x.vtt",
            "1.mp4",
            "init.m4s",
            "1.m4s.ts",
        ] {
            assert_eq!(Piece::parse(name), None, "{name}");
        }
    }
}
