//! Compressed samples, going in and coming out.

use std::ptr::NonNull;

use crate::{
    error::{Error, check},
    sys, time,
};

/// The largest compressed sample that is taken: an intra-coded 8K frame has room to spare.
pub const PACKET_BYTES_MAX: usize = 64 << 20;

/// One compressed sample, as its container holds it, in decode order. Times are in the decoder's time base.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The payload; length-prefixed NAL units where the configuration record says so.
    pub data: &'a [u8],
    /// When it is shown; `None` where the container does not say (AVI).
    pub pts: Option<i64>,
    /// When it is decoded; `None` where the container does not say (Matroska).
    pub dts: Option<i64>,
    /// How long it is shown; 0 where unknown.
    pub duration: i64,
    /// Whether decoding can begin here.
    pub keyframe: bool,
}

/// One encoded sample. Times are in the encoder's time base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSample {
    /// The payload; for H.264 NAL units with four bytes of length each, without parameter sets.
    pub data: Vec<u8>,
    /// When it is shown: as the frame said that went in.
    pub pts: i64,
    /// When it is decoded: at or before `pts`, strictly increasing, below the first `pts` where frames are reordered.
    pub dts: i64,
    /// How long it is shown: as the frame said that went in; 0 where it did not know.
    pub duration: i64,
    /// Whether decoding can begin here; for H.264 an IDR picture.
    pub keyframe: bool,
}

/// An `AVPacket` of ours.
pub(crate) struct RawPacket {
    f: &'static sys::Functions,
    raw: NonNull<sys::AVPacket>,
}

// SAFETY: a packet is reached through its owner only, and its buffers are counted atomically.
unsafe impl Send for RawPacket {}

impl RawPacket {
    pub(crate) fn new(f: &'static sys::Functions) -> Result<Self, Error> {
        // SAFETY: allocates or answers null.
        let raw = NonNull::new(unsafe { f.av_packet_alloc() }).ok_or(Error::OutOfMemory("packet"))?;
        Ok(Self { f, raw })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::AVPacket {
        self.raw.as_ptr()
    }

    /// The packet's fields.
    pub(crate) fn fields(&self) -> &sys::AVPacket {
        // SAFETY: allocated in `new`, ours until dropped.
        unsafe { self.raw.as_ref() }
    }

    /// The payload.
    pub(crate) fn data(&self) -> &[u8] {
        let fields = self.fields();
        match usize::try_from(fields.size) {
            // SAFETY: FFmpeg keeps `size` readable bytes at `data`, for as long as the packet is not changed.
            Ok(size @ 1..) if !fields.data.is_null() => unsafe {
                std::slice::from_raw_parts(fields.data, size)
            },
            _ => &[],
        }
    }

    /// Becomes a copy of `packet`, with the padding that decoders read over.
    pub(crate) fn fill(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let (pts, dts, duration) =
            (time::ticks(packet.pts)?, time::ticks(packet.dts)?, time::ticks(Some(packet.duration.max(0)))?);
        let size = packet.data.len();
        let small = i32::try_from(size).ok().filter(|_| size <= PACKET_BYTES_MAX).ok_or(Error::Limit {
            what: "packet bytes",
            value: size as u64,
            limit: PACKET_BYTES_MAX as u64,
        })?;
        // SAFETY: the packet is ours. av_new_packet makes `size` writable bytes plus zeroed padding, into which exactly
        // `size` bytes are copied.
        unsafe {
            self.f.av_packet_unref(self.as_ptr());
            check(self.f, "packet", "av_new_packet", self.f.av_new_packet(self.as_ptr(), small))?;
            let fields = self.raw.as_mut();
            std::ptr::copy_nonoverlapping(packet.data.as_ptr(), fields.data, size);
            fields.pts = pts;
            fields.dts = dts;
            fields.duration = duration;
            fields.flags = if packet.keyframe { sys::AV_PKT_FLAG_KEY as i32 } else { 0 };
        }
        Ok(())
    }
}

impl Drop for RawPacket {
    fn drop(&mut self) {
        let mut raw = self.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { self.f.av_packet_free(&raw mut raw) };
    }
}
