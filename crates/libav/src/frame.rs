//! Pictures between the stages.

use std::ptr::NonNull;

use crate::{error::Error, sys};

/// Which colours numbers mean, by the code points of ITU-T H.273; 2 is "unspecified".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Primaries: 1 is BT.709, 9 BT.2020.
    pub primaries: u8,
    /// Transfer: 1 is BT.709, 16 PQ (HDR10), 18 HLG.
    pub transfer: u8,
    /// Matrix: 0 is RGB, 1 BT.709, 5 and 6 BT.601, 9 BT.2020.
    pub matrix: u8,
    /// Whether black is 0 and not 16 (of 255).
    pub full_range: bool,
}

impl Default for Colour {
    /// Unspecified, with room at both ends.
    fn default() -> Self {
        Self { primaries: 2, transfer: 2, matrix: 2, full_range: false }
    }
}

/// An `AVFrame` of ours.
pub(crate) struct RawFrame {
    f: &'static sys::Functions,
    raw: NonNull<sys::AVFrame>,
}

// SAFETY: a frame is reached through its owner only; buffers that it shares with a decoder or filter are counted
// atomically, and nobody writes to a shared one.
unsafe impl Send for RawFrame {}

impl RawFrame {
    pub(crate) fn new(f: &'static sys::Functions) -> Result<Self, Error> {
        // SAFETY: allocates or answers null.
        let raw = NonNull::new(unsafe { f.av_frame_alloc() }).ok_or(Error::OutOfMemory("frame"))?;
        Ok(Self { f, raw })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::AVFrame {
        self.raw.as_ptr()
    }

    pub(crate) fn fields(&self) -> &sys::AVFrame {
        // SAFETY: allocated in `new`, ours until dropped.
        unsafe { self.raw.as_ref() }
    }

    pub(crate) fn fields_mut(&mut self) -> &mut sys::AVFrame {
        // SAFETY: as above, and borrowed mutably.
        unsafe { self.raw.as_mut() }
    }
}

impl Drop for RawFrame {
    fn drop(&mut self) {
        let mut raw = self.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { self.f.av_frame_free(&raw mut raw) };
    }
}

/// One decoded or filtered picture. Times are in the time base of the stage that made it.
pub struct VideoFrame {
    pub(crate) raw: RawFrame,
    pub(crate) pts: Option<i64>,
    pub(crate) duration: i64,
}

impl std::fmt::Debug for VideoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoFrame")
            .field("pts", &self.pts)
            .field("duration", &self.duration)
            .field("width", &self.width())
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl VideoFrame {
    /// When it is shown; `None` where neither container nor codec says.
    pub fn pts(&self) -> Option<i64> {
        self.pts
    }

    /// How long it is shown, as its packet said; 0 where unknown.
    pub fn duration(&self) -> i64 {
        self.duration
    }

    /// Width in samples as stored, before the sample aspect ratio.
    pub fn width(&self) -> u32 {
        self.raw.fields().width.max(0).cast_unsigned()
    }

    /// Height in rows.
    pub fn height(&self) -> u32 {
        self.raw.fields().height.max(0).cast_unsigned()
    }

    /// How wide a sample is for its height, as (width, height); (1, 1) where unknown.
    pub fn sample_aspect_ratio(&self) -> (u32, u32) {
        let sar = self.raw.fields().sample_aspect_ratio;
        match (u32::try_from(sar.num), u32::try_from(sar.den)) {
            (Ok(num @ 1..), Ok(den @ 1..)) => (num, den),
            _ => (1, 1),
        }
    }

    /// What its numbers mean.
    pub fn colour(&self) -> Colour {
        let fields = self.raw.fields();
        let code = |value: u32| u8::try_from(value).unwrap_or(2);
        Colour {
            primaries: code(fields.color_primaries),
            transfer: code(fields.color_trc),
            matrix: code(fields.colorspace),
            full_range: fields.color_range == sys::AVCOL_RANGE_JPEG,
        }
    }

    /// FFmpeg's name of the pixel format: `yuv420p`, `yuv420p10le`, …
    pub fn pixel_format(&self) -> &'static str {
        pixel_format_name(self.raw.f, self.raw.fields().format)
    }

    /// The rows of one plane without their padding, for formats of whole bytes a sample in planes; `None` for others.
    /// Copies: meant for tests and pictures that are looked at, not for the way to the encoder.
    pub fn plane(&self, plane: usize) -> Option<Vec<u8>> {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (shift, bytes) = match self.pixel_format() {
            "yuv420p" | "yuvj420p" => (1, 1),
            "yuv420p10le" => (1, 2),
            _ => return None,
        };
        let (width, height) = match plane {
            0 => (width, height),
            1 | 2 => (width.div_ceil(1 << shift), height.div_ceil(1 << shift)),
            _ => return None,
        };
        let fields = self.raw.fields();
        let (data, stride) = (fields.data[plane], fields.linesize[plane] as isize);
        if data.is_null() {
            return None;
        }
        let mut out = Vec::with_capacity(width * bytes * height);
        for row in 0..height {
            // SAFETY: a frame of this format and size holds `height` rows of `width` samples in the plane, `stride` apart
            // (which may be negative), each readable.
            let line = unsafe {
                std::slice::from_raw_parts(data.offset(row as isize * stride).cast_const(), width * bytes)
            };
            out.extend_from_slice(line);
        }
        Some(out)
    }
}

/// FFmpeg's name of a pixel format.
pub(crate) fn pixel_format_name(f: &sys::Functions, format: i32) -> &'static str {
    // SAFETY: answers null for formats that it does not know, else a text that lives as long as the library, which is
    // never unloaded.
    unsafe {
        let name = f.av_get_pix_fmt_name(format);
        if name.is_null() { "none" } else { std::ffi::CStr::from_ptr(name).to_str().unwrap_or("none") }
    }
}
