//! One `trak`: header, media header, handler, edits, description and rows.

use super::{
    boxes::{BoxView, FourCc, malformed},
    edits::{self, Edit},
    stsd::{self, Entry},
    tables::{Columns, Reading, Rows},
    udta,
};
use crate::{
    ContainerError, Timescale, Track, TrackFlags, TrackKind,
    codec::{CodecConfig, TextFormat},
};

/// A `trak`, read but for its rows.
#[derive(Debug)]
pub(super) struct Trak<'a> {
    pub(super) track: Track,
    /// Codec of every `stsd` entry.
    pub(super) descriptions: Vec<CodecConfig>,
    pub(super) enabled: bool,
    pub(super) alternate_group: u16,
    /// Tracks that hold this one's chapters (`tref` of type `chap`).
    pub(super) chapters: Vec<u32>,
    pub(super) edits: Vec<Edit>,
    pub(super) columns: Columns<'a>,
    pub(super) pcm: Option<(u32, u32)>,
    pub(super) handler: FourCc,
}

/// Flags, number and display matrix.
struct Header {
    enabled: bool,
    number: u32,
    alternate_group: u16,
    rotation: u16,
}

/// Reads a `trak`.
pub(super) fn parse<'a>(trak: &BoxView<'a>) -> Result<Trak<'a>, ContainerError> {
    let (mut head, mut mdia, mut edit_list, mut chapters) = (None, None, Vec::new(), Vec::new());
    let mut words = udta::TrackWords::default();
    for child in trak.children() {
        let child = child?;
        match &child.kind {
            b"tkhd" => head = Some(tkhd(&child)?),
            b"mdia" => mdia = Some(child),
            b"edts" => {
                if let Some(elst) = child.child(*b"elst") {
                    edit_list = edits::parse(&elst)?;
                }
            }
            b"tref" => {
                if let Some(chap) = child.child(*b"chap") {
                    chapters =
                        chap.body.as_chunks::<4>().0.iter().map(|id| u32::from_be_bytes(*id)).collect();
                }
            }
            b"udta" => words.read_udta(&child),
            b"meta" => words.read_meta(&child),
            _ => {}
        }
    }
    let (Some(head), Some(mdia)) = (head, mdia) else {
        return Err(malformed(trak.offset, "box trak lacks its tkhd or mdia"));
    };
    let (mut media, mut handler, mut stbl, mut language) = (None, *b"none", None, None);
    for child in mdia.children() {
        let child = child?;
        match &child.kind {
            b"mdhd" => media = Some(mdhd(&child)?),
            b"hdlr" => {
                let (_, _, mut fields) = child.full()?;
                fields.skip(4)?;
                handler = fields.four_cc()?;
                words.read_handler_name(fields.rest().get(12..).unwrap_or_default());
            }
            b"elng" => language = child.body.get(4..).and_then(udta::language_tag),
            b"minf" => stbl = child.child(*b"stbl").or(stbl),
            _ => {}
        }
    }
    let (Some((timescale, packed)), Some(stbl)) = (media, stbl) else {
        return Err(malformed(mdia.offset, "box mdia lacks its mdhd or stbl"));
    };
    let Some(timescale) = Timescale::new(timescale) else {
        return Err(malformed(mdia.offset, "box mdhd has timescale 0"));
    };
    let Some(stsd) = stbl.child(*b"stsd") else {
        return Err(malformed(stbl.offset, "box stbl lacks its stsd"));
    };
    let entries = stsd::parse(&stsd, handler)?;
    let descriptions = entries.iter().map(|entry| entry.codec.clone()).collect();
    let Some(Entry { kind, codec, video, audio, pcm, forced }) = entries.into_iter().next() else {
        return Err(malformed(stsd.offset, "box stsd describes no sample"));
    };
    let codec_delay_ns = match &codec {
        CodecConfig::Opus(opus) => super::moov::nanoseconds(opus.pre_skip().into(), 48_000).unwrap_or(0),
        _ => 0,
    };
    let mut track = Track {
        number: head.number.into(),
        kind,
        codec,
        timescale,
        language: language.or_else(|| udta::packed_language(packed)),
        name: words.name(kind),
        flags: TrackFlags { forced, ..words.flags() },
        video,
        audio,
        default_duration_ns: None,
        codec_delay_ns,
        strip_prefix: bytes::Bytes::new(),
        deflated: false,
    };
    track.flags.forced |= forced;
    if let Some(video) = &mut track.video {
        video.rotation = head.rotation;
    }
    Ok(Trak {
        track,
        descriptions,
        enabled: head.enabled,
        alternate_group: head.alternate_group,
        chapters,
        edits: edit_list,
        columns: Columns::parse(&stbl)?,
        pcm,
        handler,
    })
}

impl Trak<'_> {
    /// Makes the rows, and whether the edit list was simplified.
    pub(super) fn rows(
        &self,
        file_len: u64,
        movie_timescale: u32,
        fragmented: bool,
    ) -> Result<(Rows, edits::Applied), ContainerError> {
        let edit = edits::apply(&self.edits, movie_timescale, self.track.timescale.get(), fragmented);
        let mark_hidden = self.track.kind == TrackKind::Video;
        let reading = Reading { file_len, edit, mark_hidden, pcm: self.pcm };
        self.columns.rows(&reading).map(|rows| (rows, edit))
    }

    /// Whether it is text that could name chapters.
    pub(super) fn is_text(&self) -> bool {
        self.handler == *b"text" || self.track.codec == CodecConfig::Text(TextFormat::Tx3g)
    }
}

fn tkhd(view: &BoxView<'_>) -> Result<Header, ContainerError> {
    let (version, flags, mut fields) = view.full()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let number = fields.u32()?;
    fields.skip(if version == 1 { 12 } else { 8 })?;
    fields.skip(10)?;
    let alternate_group = fields.u16()?;
    fields.skip(4)?;
    let mut matrix = [0; 5];
    for value in &mut matrix {
        *value = fields.i32().unwrap_or(0);
    }
    let [a, b, _, c, d] = matrix;
    let rotation = match (a.signum(), b.signum(), c.signum(), d.signum()) {
        (0, 1, -1, 0) => 90,
        (-1, 0, 0, -1) => 180,
        (0, -1, 1, 0) => 270,
        _ => 0,
    };
    Ok(Header { enabled: flags & 1 != 0, number, alternate_group, rotation })
}

/// Timescale and packed language.
fn mdhd(view: &BoxView<'_>) -> Result<(u32, u16), ContainerError> {
    let (version, _, mut fields) = view.full()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = fields.u32()?;
    fields.skip(if version == 1 { 8 } else { 4 })?;
    Ok((timescale, fields.u16().unwrap_or(0x7fff)))
}
