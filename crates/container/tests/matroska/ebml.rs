//! A writer of EBML and of small Matroska files, for tests alone: whatever a hand could put in a file, it can put there.

/// IDs that the tests write.
pub(crate) mod id {
    pub(crate) const EBML: u32 = 0x1a45_dfa3;
    pub(crate) const DOC_TYPE: u32 = 0x4282;
    pub(crate) const VOID: u32 = 0xec;
    pub(crate) const CRC: u32 = 0xbf;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(crate) const SEEK: u32 = 0x4dbb;
    pub(crate) const SEEK_ID: u32 = 0x53ab;
    pub(crate) const SEEK_POSITION: u32 = 0x53ac;
    pub(crate) const INFO: u32 = 0x1549_a966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
    pub(crate) const DURATION: u32 = 0x4489;
    pub(crate) const TITLE: u32 = 0x7ba9;
    pub(crate) const TRACKS: u32 = 0x1654_ae6b;
    pub(crate) const TRACK_ENTRY: u32 = 0xae;
    pub(crate) const TRACK_NUMBER: u32 = 0xd7;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const FLAG_DEFAULT: u32 = 0x88;
    pub(crate) const FLAG_FORCED: u32 = 0x55aa;
    pub(crate) const FLAG_COMMENTARY: u32 = 0x55af;
    pub(crate) const DEFAULT_DURATION: u32 = 0x0023_e383;
    pub(crate) const NAME: u32 = 0x536e;
    pub(crate) const LANGUAGE: u32 = 0x0022_b59c;
    pub(crate) const LANGUAGE_BCP47: u32 = 0x0022_b59d;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(crate) const VIDEO: u32 = 0xe0;
    pub(crate) const PIXEL_WIDTH: u32 = 0xb0;
    pub(crate) const PIXEL_HEIGHT: u32 = 0xba;
    pub(crate) const CROP_TOP: u32 = 0x54bb;
    pub(crate) const CROP_BOTTOM: u32 = 0x54aa;
    pub(crate) const DISPLAY_WIDTH: u32 = 0x54b0;
    pub(crate) const DISPLAY_HEIGHT: u32 = 0x54ba;
    pub(crate) const PROJECTION: u32 = 0x7670;
    pub(crate) const PROJECTION_ROLL: u32 = 0x7675;
    pub(crate) const AUDIO: u32 = 0xe1;
    pub(crate) const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub(crate) const CHANNELS: u32 = 0x9f;
    pub(crate) const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub(crate) const CONTENT_ENCODING: u32 = 0x6240;
    pub(crate) const CONTENT_COMPRESSION: u32 = 0x5034;
    pub(crate) const CONTENT_COMP_ALGO: u32 = 0x4254;
    pub(crate) const CONTENT_COMP_SETTINGS: u32 = 0x4255;
    pub(crate) const CUES: u32 = 0x1c53_bb6b;
    pub(crate) const CUE_POINT: u32 = 0xbb;
    pub(crate) const CUE_TIME: u32 = 0xb3;
    pub(crate) const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub(crate) const CUE_TRACK: u32 = 0xf7;
    pub(crate) const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub(crate) const CHAPTERS: u32 = 0x1043_a770;
    pub(crate) const EDITION_ENTRY: u32 = 0x45b9;
    pub(crate) const CHAPTER_ATOM: u32 = 0xb6;
    pub(crate) const CHAPTER_TIME_START: u32 = 0x91;
    pub(crate) const CHAPTER_DISPLAY: u32 = 0x80;
    pub(crate) const CHAP_STRING: u32 = 0x85;
    pub(crate) const ATTACHMENTS: u32 = 0x1941_a469;
    pub(crate) const ATTACHED_FILE: u32 = 0x61a7;
    pub(crate) const FILE_NAME: u32 = 0x466e;
    pub(crate) const FILE_MEDIA_TYPE: u32 = 0x4660;
    pub(crate) const FILE_DATA: u32 = 0x465c;
    pub(crate) const TAGS: u32 = 0x1254_c367;
    pub(crate) const CLUSTER: u32 = 0x1f43_b675;
    pub(crate) const TIMESTAMP: u32 = 0xe7;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(crate) const BLOCK_GROUP: u32 = 0xa0;
    pub(crate) const BLOCK: u32 = 0xa1;
    pub(crate) const BLOCK_ADDITIONS: u32 = 0x75a1;
    pub(crate) const BLOCK_DURATION: u32 = 0x9b;
    pub(crate) const REFERENCE_BLOCK: u32 = 0xfb;
    pub(crate) const DISCARD_PADDING: u32 = 0x75a2;
    pub(crate) const ENCRYPTED_BLOCK: u32 = 0xaf;
}

/// An ID as its bytes.
fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// A variable-size integer of exactly `len` bytes.
pub(crate) fn vint_of(value: u64, len: u32) -> Vec<u8> {
    assert!((1..=8).contains(&len) && value < 1 << (7 * len), "{value} in {len} bytes");
    let marked = value | 1 << (7 * len);
    marked.to_be_bytes()[8 - len as usize..].to_vec()
}

/// The shortest variable-size integer that is not all ones.
pub(crate) fn vint(value: u64) -> Vec<u8> {
    let len = (1..=8).find(|len| value < (1 << (7 * len)) - 1).expect("below 2^56 - 1");
    vint_of(value, len)
}

/// An element with any size field, true or not.
pub(crate) fn raw(id: u32, size: &[u8], payload: &[u8]) -> Vec<u8> {
    [&id_bytes(id), size, payload].concat()
}

pub(crate) fn element(id: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(id, &vint(payload.as_ref().len() as u64), payload.as_ref())
}

/// An element of unknown size.
pub(crate) fn unknown(id: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(id, &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], payload.as_ref())
}

pub(crate) fn master(id: u32, children: &[Vec<u8>]) -> Vec<u8> {
    element(id, children.concat())
}

/// Always eight bytes, so that a length does not depend on the value.
pub(crate) fn uint(id: u32, value: u64) -> Vec<u8> {
    element(id, value.to_be_bytes())
}

pub(crate) fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, value.to_be_bytes())
}

pub(crate) fn text(id: u32, value: &str) -> Vec<u8> {
    element(id, value)
}

pub(crate) fn ebml_header(doc_type: &str) -> Vec<u8> {
    master(id::EBML, &[text(id::DOC_TYPE, doc_type)])
}

/// Milliseconds, and a stated duration of ten seconds.
pub(crate) fn info() -> Vec<u8> {
    let title = text(id::TITLE, "Small");
    master(id::INFO, &[uint(id::TIMESTAMP_SCALE, 1_000_000), float(id::DURATION, 10_000.0), title])
}

/// A TrackEntry: number, type, codec and more.
pub(crate) fn track(number: u64, kind: u64, codec: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let fixed = [
        uint(id::TRACK_NUMBER, number),
        uint(id::TRACK_TYPE, kind),
        text(id::CODEC_ID, codec),
        more.concat(),
    ];
    master(id::TRACK_ENTRY, &fixed)
}

/// VP9 video as track 1, AC-3 audio with 32 ms frames as track 2.
pub(crate) fn tracks() -> Vec<u8> {
    let size = master(id::VIDEO, &[uint(id::PIXEL_WIDTH, 320), uint(id::PIXEL_HEIGHT, 180)]);
    let sound = master(id::AUDIO, &[float(id::SAMPLING_FREQUENCY, 48_000.0), uint(id::CHANNELS, 2)]);
    let video = track(1, 1, "V_VP9", &[size]);
    let audio = track(2, 2, "A_AC3", &[sound, uint(id::DEFAULT_DURATION, 32_000_000)]);
    master(id::TRACKS, &[video, audio])
}

/// The inside of a block: track, time against the cluster's, flags, and what follows.
pub(crate) fn block_payload(track: u64, relative: i16, flags: u8, body: &[u8]) -> Vec<u8> {
    [&vint(track), &relative.to_be_bytes()[..], &[flags], body].concat()
}

pub(crate) fn simple_block(track: u64, relative: i16, flags: u8, body: &[u8]) -> Vec<u8> {
    element(id::SIMPLE_BLOCK, block_payload(track, relative, flags, body))
}

pub(crate) fn cluster(time: u64, blocks: &[Vec<u8>]) -> Vec<u8> {
    element(id::CLUSTER, [uint(id::TIMESTAMP, time), blocks.concat()].concat())
}

/// Sizes in Xiph's way and the frames after them.
pub(crate) fn xiph_lace(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![u8::try_from(frames.len() - 1).unwrap()];
    for frame in &frames[..frames.len() - 1] {
        out.extend(std::iter::repeat_n(255, frame.len() / 255));
        out.push(u8::try_from(frame.len() % 255).unwrap());
    }
    out.extend(frames.concat());
    out
}

/// Sizes in EBML's way (the first, then differences) and the frames after them.
pub(crate) fn ebml_lace(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![u8::try_from(frames.len() - 1).unwrap()];
    let mut last: Option<i64> = None;
    for frame in &frames[..frames.len() - 1] {
        let size = i64::try_from(frame.len()).unwrap();
        match last {
            None => out.extend(vint(frame.len() as u64)),
            Some(last) => {
                let difference = size - last;
                let bias = |len: u32| (1_i64 << (7 * len - 1)) - 1;
                let len = (1..=8).find(|len| difference.abs() < bias(*len)).unwrap();
                out.extend(vint_of(u64::try_from(difference + bias(len)).unwrap(), len));
            }
        }
        last = Some(size);
    }
    out.extend(frames.concat());
    out
}

/// Equal frames.
pub(crate) fn fixed_lace(frames: &[Vec<u8>]) -> Vec<u8> {
    [vec![u8::try_from(frames.len() - 1).unwrap()], frames.concat()].concat()
}

/// A part of a Segment; parts are named by their place in it.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    /// Names the parts of these IDs and places.
    SeekHead(Vec<(u32, usize)>),
    /// Points at clusters: time, track, place.
    Cues(Vec<(u64, u64, usize)>),
}

impl Part {
    fn bytes(&self, places: &[u64]) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::SeekHead(entries) => {
                let seek = |(id, part): &(u32, usize)| {
                    let place = places.get(*part).copied().unwrap_or(0);
                    master(id::SEEK, &[element(id::SEEK_ID, id_bytes(*id)), uint(id::SEEK_POSITION, place)])
                };
                master(id::SEEK_HEAD, &entries.iter().map(seek).collect::<Vec<_>>())
            }
            Self::Cues(points) => {
                let point = |(time, track, part): &(u64, u64, usize)| {
                    let place = places.get(*part).copied().unwrap_or(0);
                    let position = [uint(id::CUE_TRACK, *track), uint(id::CUE_CLUSTER_POSITION, place)];
                    let children = [uint(id::CUE_TIME, *time), master(id::CUE_TRACK_POSITIONS, &position)];
                    master(id::CUE_POINT, &children)
                };
                master(id::CUES, &points.iter().map(point).collect::<Vec<_>>())
            }
        }
    }
}

/// A file of these parts, and where in the file each begins.
pub(crate) fn film(parts: &[Part], known_size: bool) -> (Vec<u8>, Vec<u64>) {
    let mut places = Vec::new();
    let mut at = 0;
    for part in parts {
        places.push(at);
        at += part.bytes(&[]).len() as u64;
    }
    let body: Vec<u8> = parts.iter().flat_map(|part| part.bytes(&places)).collect();
    let head = ebml_header("matroska");
    let segment = if known_size {
        raw(id::SEGMENT, &vint_of(body.len() as u64, 8), &body)
    } else {
        unknown(id::SEGMENT, &body)
    };
    let start = (head.len() + segment.len() - body.len()) as u64;
    ([head, segment].concat(), places.into_iter().map(|place| start + place).collect())
}

/// Four clusters of a second, each with a key picture, two others, and audio frames; payloads tell where they are from.
pub(crate) fn clusters() -> Vec<Vec<u8>> {
    (0..4_u64)
        .map(|second| {
            let name = |what: &str| format!("{what} {second}").into_bytes();
            let mut blocks = vec![simple_block(1, 0, 0x80, &name("key"))];
            for place in 0..4_i16 {
                blocks.push(simple_block(2, place * 32, 0x80, &name("sound")));
            }
            blocks.push(simple_block(1, 600, 0, &name("picture")));
            blocks.push(simple_block(1, 300, 0, &name("between")));
            cluster(second * 1000, &blocks)
        })
        .collect()
}

/// SeekHead, Info, Tracks, four clusters, Cues.
pub(crate) fn plain_parts() -> Vec<Part> {
    let mut parts = vec![
        Part::SeekHead(vec![(id::INFO, 1), (id::TRACKS, 2), (id::CUES, 7)]),
        Part::Bytes(info()),
        Part::Bytes(tracks()),
    ];
    parts.extend(clusters().into_iter().map(Part::Bytes));
    parts.push(Part::Cues((0..4).map(|n| (n * 1000, 1, usize::try_from(n).unwrap() + 3)).collect()));
    parts
}
