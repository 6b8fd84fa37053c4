//! How much of anything a file may make us hold. Each limit has a reason; a file past one is refused by its name.

/// Tracks in a file. The most seen in the wild is about 60 (discs with every subtitle).
pub const TRACKS_MAX: usize = 256;
/// Bytes of one track's codec configuration. avcC, hvcC and FLAC headers stay under 64 KiB; Vorbis books under 256.
pub const CODEC_PRIVATE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of one text field (names, languages, titles).
pub const TEXT_BYTES_MAX: u64 = 64 << 10;
/// Depth of nested elements or boxes. The formats themselves need 8.
pub const DEPTH_MAX: usize = 16;
/// Samples in one track: 24 hours of 120 frames a second, or of 1024-sample AAC at 96 kHz.
pub const SAMPLES_PER_TRACK_MAX: usize = 12_000_000;
/// Bytes of one sample. An 8K intra frame stays under 32 MiB.
pub const SAMPLE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of an MP4 `moov`: a day of film with four tracks needs under 200 MiB.
pub const MOOV_BYTES_MAX: u64 = 256 << 20;
/// Bytes of Matroska Cues: a day of film with a cue every half second needs under 8 MiB.
pub const CUES_BYTES_MAX: u64 = 64 << 20;
/// Cue points in a file.
pub const CUE_POINTS_MAX: usize = 2_000_000;
/// Bytes of any other Matroska top-level element that is read whole (Tracks, Info, Chapters, SeekHead, Tags).
pub const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Chapters in a file.
pub const CHAPTERS_MAX: usize = 10_000;
/// Attachments in a file (fonts; anime releases carry up to about 300).
pub const ATTACHMENTS_MAX: usize = 2_000;
/// Top-level elements or boxes visited while looking for the index.
pub const TOP_LEVEL_MAX: usize = 1_000_000;
/// Frames in one laced Matroska block: the lace count is one byte.
pub const LACE_FRAMES_MAX: usize = 256;
/// Bytes that one compressed subtitle block may unpack to.
pub const INFLATED_BYTES_MAX: usize = 4 << 20;
/// Edit list entries of one MP4 track.
pub const EDITS_MAX: usize = 10_000;
/// Samples of all tracks of an MP4 file together: rows of 32 bytes.
pub const SAMPLES_MAX: usize = 24_000_000;
/// Bytes of an MP4 `moof`: one that holds an hour of film in one fragment needs under 16 MiB.
pub const MOOF_BYTES_MAX: u64 = 64 << 20;
/// Sample descriptions (`stsd` entries) of one MP4 track. Files joined from parts have one a part.
pub const DESCRIPTIONS_MAX: usize = 1_000;
/// Boxes looked at inside one MP4 sample description.
pub const DESCRIPTION_BOXES_MAX: usize = 64;
/// Bytes of a whole subtitle file. The longest films' ASS with its typesetting stays under 16 MiB.
pub const SUBTITLE_FILE_BYTES_MAX: u64 = 32 << 20;
/// Cues of a whole subtitle file: a typeset episode has under 100,000.
pub const CUES_MAX: usize = 500_000;
/// Bytes of text in one cue; what is past it is cut off. No screen holds more than a few hundred characters.
pub const CUE_TEXT_BYTES_MAX: usize = 16 << 10;
/// Styles of an ASS header. Typeset episodes carry up to about 300.
pub const SUBTITLE_STYLES_MAX: usize = 4_096;
