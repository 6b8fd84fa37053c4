//! Opening a title: its index is read, its plan found on disk or made.

use std::{path::PathBuf, sync::Arc};

use byte_source::{ByteRange, ByteSource};
use bytes::Bytes;
use container::{ContainerError, Movie, MovieOpener, Pull, PullParser, pull::drive};
use packager::{Plan, PlanOptions, Planned, Planner, Reach, plan::PLAN_VERSION};

use crate::{
    ContentKey, FileIdentity, FileSource, MediaError, Title,
    limits::{INLINE_PARSE_BYTES_MAX, PLAN_BYTES_MAX},
    stats::{Counters, bump},
    workshop::Workshop,
};

/// Goes up whenever the form of a kept plan changes without the packager's version going up.
const PLAN_FILE_VERSION: u32 = 1;

/// Where a title's bytes are.
#[derive(Clone)]
pub(crate) enum Origin {
    File(PathBuf),
    Source(Arc<dyn ByteSource>, ContentKey),
}

impl Origin {
    /// Opens it; a file's content key is asked of `remembered` before the file is looked into.
    async fn source(
        self,
        title: &str,
        remembered: impl Fn(FileIdentity) -> Option<ContentKey>,
    ) -> Result<(Arc<dyn ByteSource>, ContentKey, Option<FileIdentity>), MediaError> {
        match self {
            Self::Source(source, content) => Ok((source, content, None)),
            Self::File(path) => {
                let source = FileSource::open(&path).await.map_err(|error| named(title, error))?;
                let identity = source.identity();
                let content = match remembered(identity) {
                    Some(content) => content,
                    None => ContentKey::of(&source, identity.modified_ns)
                        .await
                        .map_err(|e| MediaError::from_source(title, e))?,
                };
                Ok((Arc::new(source), content, Some(identity)))
            }
        }
    }
}

/// A file that could not be opened is told of by the title's name: paths are not for those who ask over HTTP.
fn named(title: &str, error: MediaError) -> MediaError {
    let title = title.to_owned();
    match error {
        MediaError::NotFound { what, .. } => MediaError::NotFound { title, what },
        MediaError::Io { detail, .. } => MediaError::Io { title, detail },
        other => other,
    }
}

/// Opens a title.
pub(crate) async fn open(
    video_id: Arc<str>,
    origin: Origin,
    workshop: Arc<Workshop>,
    remembered: impl Fn(FileIdentity) -> Option<ContentKey>,
) -> Result<Title, MediaError> {
    let (source, content, file) = origin.source(&video_id, remembered).await?;
    let opener = if source.is_here() { MovieOpener::new } else { MovieOpener::without_search };
    let mut opener = Considerate::new(opener(source.len()));
    let movie = drive(&mut opener, &*source).await.map_err(|e| MediaError::from_container(&video_id, e))?;
    drop(opener);
    let planned = planned(&video_id, movie, &*source, &content, &workshop).await?;
    Ok(Title::new(video_id, content, source, file, planned, workshop))
}

async fn planned(
    title: &str,
    movie: Movie,
    source: &dyn ByteSource,
    content: &ContentKey,
    workshop: &Workshop,
) -> Result<Planned, MediaError> {
    let counters: &Counters = &workshop.counters;
    if let Some(disk) = &workshop.disk
        && let Some(kept) = disk.read_plan(content).await
    {
        match decode(&kept).map(|plan| Planner::resume(movie.clone(), plan)) {
            Some(Ok(planned)) => {
                bump(&counters.plans_loaded, 1);
                return Ok(planned);
            }
            Some(Err(error)) => tracing::debug!(%content, %error, "kept plan is of no use: made again"),
            None => tracing::debug!(%content, "kept plan is of another version: made again"),
        }
    }
    let reach = if source.is_here() { Reach::Anywhere } else { Reach::Ends };
    let options = PlanOptions { reach, ..PlanOptions::default() };
    let mut planner = Considerate::new(Planner::new(movie, options));
    let planned = drive(&mut planner, source).await.map_err(|e| MediaError::from_container(title, e))?;
    bump(&counters.plans_made, 1);
    if let (Some(disk), Some(plan)) = (&workshop.disk, encode(&planned.plan)) {
        disk.offer_plan(content.clone(), plan);
    }
    Ok(planned)
}

/// A parser whose large steps hold up no other task: reading the `moov` of a day of film takes a good part of a second.
struct Considerate<P> {
    parser: P,
    fed: u64,
}

impl<P> Considerate<P> {
    fn new(parser: P) -> Self {
        Self { parser, fed: 0 }
    }
}

impl<P: PullParser> PullParser for Considerate<P> {
    type Item = P::Item;

    fn poll(&mut self) -> Result<Pull<P::Item>, ContainerError> {
        in_place(self.fed > INLINE_PARSE_BYTES_MAX, || self.parser.poll())
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.fed = range.len();
        self.parser.feed(range, bytes);
    }
}

/// Runs `step`, letting this thread's other tasks go on elsewhere if it is `long` and the runtime has an elsewhere.
fn in_place<T>(long: bool, step: impl FnOnce() -> T) -> T {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if long && flavor == tokio::runtime::RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(step)
    } else {
        step()
    }
}

/// A plan as it is kept: two versions, then postcard (some 20 bytes a segment, where JSON takes 120 and takes longer to
/// read than a plan takes to make).
fn encode(plan: &Plan) -> Option<Bytes> {
    let mut bytes = [PLAN_FILE_VERSION.to_be_bytes(), PLAN_VERSION.to_be_bytes()].concat();
    bytes.extend(postcard::to_stdvec(plan).ok()?);
    (bytes.len() <= PLAN_BYTES_MAX).then(|| bytes.into())
}

fn decode(bytes: &[u8]) -> Option<Plan> {
    let (file_version, rest) = bytes.split_first_chunk()?;
    let (plan_version, rest) = rest.split_first_chunk()?;
    let versions = (u32::from_be_bytes(*file_version), u32::from_be_bytes(*plan_version));
    (versions == (PLAN_FILE_VERSION, PLAN_VERSION)).then(|| postcard::from_bytes(rest).ok())?
}
