//! A file, opened: its tracks, and the index that says where their samples lie.

use byte_source::ByteRange;
use bytes::Bytes;

use crate::{
    ContainerError, Format, Track,
    matroska::{self, MatroskaIndex},
    mp4::{self, Mp4Index},
    pull::{Pull, PullParser},
};

/// A named point in the film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// Start, nanoseconds from the film's beginning as the file counts.
    pub start_ns: u64,
    /// End, where the file says.
    pub end_ns: Option<u64>,
    /// Its name; may be empty.
    pub title: String,
}

/// A file within the file, such as a font.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// As the file names it: never a path on our disk.
    pub name: String,
    /// Its media type as stated.
    pub media_type: String,
    /// Where its bytes lie.
    pub bytes: ByteRange,
}

/// Where samples lie.
#[derive(Clone, Debug)]
pub enum Index {
    /// Cues and clusters: samples are found by walking.
    Matroska(MatroskaIndex),
    /// Sample tables: every sample is known.
    Mp4(Mp4Index),
}

/// A file whose header and index have been read, and none of its media.
#[derive(Clone, Debug)]
pub struct Movie {
    /// Which container.
    pub format: Format,
    /// Length of the file in bytes.
    pub len: u64,
    /// The title inside the file.
    pub title: Option<String>,
    /// Duration the header claims, nanoseconds. Distrusted: see the plan for the true one.
    pub stated_duration_ns: Option<u64>,
    /// Tracks in file order.
    pub tracks: Vec<Track>,
    /// Chapters in time order.
    pub chapters: Vec<Chapter>,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// Where samples lie.
    pub index: Index,
}

/// Opens a file of either container: looks at the first bytes, then is that container's opener.
#[derive(Debug)]
pub struct MovieOpener {
    len: u64,
    state: State,
    /// The first bytes, until the container's opener asks for them.
    head: Bytes,
    searches: bool,
}

#[derive(Debug)]
enum State {
    Sniff,
    Matroska(Box<matroska::Opener>),
    Mp4(Box<mp4::Opener>),
}

/// Far more than both magics need: what the openers ask for first is then at hand.
const SNIFF_BYTES: u64 = 8 << 10;

impl MovieOpener {
    /// For a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { len, state: State::Sniff, head: Bytes::new(), searches: true }
    }

    /// For a file of which most is not here: an index that nothing points at is not searched for.
    #[must_use]
    pub fn without_search(len: u64) -> Self {
        Self { searches: false, ..Self::new(len) }
    }
}

impl PullParser for MovieOpener {
    type Item = Movie;

    fn poll(&mut self) -> Result<Pull<Movie>, ContainerError> {
        loop {
            let asked = match &mut self.state {
                State::Sniff if self.head.is_empty() && self.len > 0 => {
                    return Ok(Pull::Need(ByteRange::new(0, SNIFF_BYTES.min(self.len))));
                }
                State::Sniff => {
                    self.state = if matroska::looks_like(&self.head) {
                        let opener = matroska::Opener::new(self.len);
                        State::Matroska(Box::new(if self.searches {
                            opener
                        } else {
                            opener.without_search()
                        }))
                    } else if mp4::looks_like(&self.head) {
                        State::Mp4(Box::new(mp4::Opener::new(self.len)))
                    } else {
                        return Err(ContainerError::UnknownContainer(hex(&self.head)));
                    };
                    continue;
                }
                State::Matroska(opener) => opener.poll()?,
                State::Mp4(opener) => opener.poll()?,
            };
            match asked {
                Pull::Need(range) if range.start() == 0 && !self.head.is_empty() => {
                    let head = std::mem::take(&mut self.head);
                    let Some(len) = usize::try_from(range.len()).ok().filter(|len| *len <= head.len()) else {
                        return Ok(Pull::Need(range));
                    };
                    self.feed(range, head.slice(..len));
                }
                asked => return Ok(asked),
            }
        }
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        match &mut self.state {
            State::Sniff => self.head = bytes,
            State::Matroska(opener) => opener.feed(range, bytes),
            State::Mp4(opener) => opener.feed(range, bytes),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    bytes.iter().take(12).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
