//! A decoder of either kind: packets in, frames out.

use std::ptr::NonNull;

use crate::{
    error::{Error, check},
    frame::RawFrame,
    packet::{Packet, RawPacket},
    sys,
    time::{Durations, TimeBase},
};

/// The largest configuration record that is taken.
const CONFIGURATION_BYTES_MAX: usize = 1 << 20;
/// More threads than this only cost memory.
pub(crate) const THREADS_MAX: u32 = 16;

/// An `AVCodecContext` of ours.
pub(crate) struct Context {
    pub(crate) f: &'static sys::Functions,
    raw: NonNull<sys::AVCodecContext>,
}

// SAFETY: a context is reached through its owner only; its own threads synchronise with whoever calls it.
unsafe impl Send for Context {}

impl Context {
    pub(crate) fn new(f: &'static sys::Functions, codec: *const sys::AVCodec) -> Result<Self, Error> {
        // SAFETY: the codec is one of the library's own, which live as long as the process.
        let raw = unsafe { f.avcodec_alloc_context3(codec) };
        Ok(Self { f, raw: NonNull::new(raw).ok_or(Error::OutOfMemory("codec context"))? })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::AVCodecContext {
        self.raw.as_ptr()
    }

    pub(crate) fn fields(&self) -> &sys::AVCodecContext {
        // SAFETY: allocated in `new`, ours until dropped.
        unsafe { self.raw.as_ref() }
    }

    pub(crate) fn fields_mut(&mut self) -> &mut sys::AVCodecContext {
        // SAFETY: as above, and borrowed mutably.
        unsafe { self.raw.as_mut() }
    }

    /// Its configuration record.
    pub(crate) fn extradata(&self) -> &[u8] {
        let fields = self.fields();
        match usize::try_from(fields.extradata_size) {
            // SAFETY: FFmpeg keeps `extradata_size` readable bytes there, unchanged while the context is not called.
            Ok(size @ 1..) if !fields.extradata.is_null() => unsafe {
                std::slice::from_raw_parts(fields.extradata, size)
            },
            _ => &[],
        }
    }

    fn set_extradata(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (size, limit) = (bytes.len(), CONFIGURATION_BYTES_MAX);
        let small = i32::try_from(size).ok().filter(|_| size <= limit).ok_or(Error::Limit {
            what: "configuration record bytes",
            value: size as u64,
            limit: limit as u64,
        })?;
        if size == 0 {
            return Ok(());
        }
        // SAFETY: av_mallocz makes `size` bytes and zeroed padding; the context frees them with itself.
        unsafe {
            let copy = self.f.av_mallocz(size + sys::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
            if copy.is_null() {
                return Err(Error::OutOfMemory("configuration record"));
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, size);
            self.fields_mut().extradata = copy;
            self.fields_mut().extradata_size = small;
        }
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut raw = self.as_ptr();
        // SAFETY: ours, freed once; ends its threads.
        unsafe { self.f.avcodec_free_context(&raw mut raw) };
    }
}

/// What every decoder is told.
pub(crate) struct DecoderSettings<'a> {
    pub(crate) stage: &'static str,
    pub(crate) id: sys::AVCodecID,
    pub(crate) configuration: &'a [u8],
    pub(crate) time_base: TimeBase,
    pub(crate) threads: u32,
}

/// An open decoder.
pub(crate) struct Decoder {
    context: Context,
    packet: RawPacket,
    stage: String,
    durations: Durations,
    finished: bool,
}

impl Decoder {
    /// Opens the decoder of `settings`, after `configure` has set what only one kind knows.
    pub(crate) fn open(
        settings: &DecoderSettings<'_>,
        configure: impl FnOnce(&mut sys::AVCodecContext),
    ) -> Result<Self, Error> {
        let f = sys::functions()?;
        // SAFETY: looks an identifier up; the answer is null or lives as long as the library.
        let (codec, name) = unsafe {
            let name = std::ffi::CStr::from_ptr(f.avcodec_get_name(settings.id)).to_string_lossy();
            (f.avcodec_find_decoder(settings.id), name.into_owned())
        };
        if codec.is_null() {
            return Err(Error::Missing(format!("{} for {name}", settings.stage)));
        }
        let stage = format!("{} of {name}", settings.stage);
        let mut context = Context::new(f, codec)?;
        context.set_extradata(settings.configuration)?;
        let time_base = settings.time_base.rational()?;
        let fields = context.fields_mut();
        fields.pkt_timebase = time_base;
        fields.thread_count = settings.threads.clamp(1, THREADS_MAX).cast_signed();
        fields.thread_type = (sys::FF_THREAD_FRAME | sys::FF_THREAD_SLICE) as i32;
        configure(fields);
        // SAFETY: the context was made for this codec; no options are passed.
        let code = unsafe { f.avcodec_open2(context.as_ptr(), codec, std::ptr::null_mut()) };
        check(f, &stage, "open", code)?;
        Ok(Self {
            context,
            packet: RawPacket::new(f)?,
            stage,
            durations: Durations::default(),
            finished: false,
        })
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        if self.finished {
            return Err(self.order("nothing comes after the end but a reset"));
        }
        // An empty packet means the end to FFmpeg; here it is a sample without a picture.
        if packet.data.is_empty() {
            return Ok(());
        }
        self.packet.fill(packet)?;
        if let Some(pts) = packet.pts.or(packet.dts).filter(|_| packet.duration > 0) {
            self.durations.insert(pts, packet.duration);
        }
        let f = self.context.f;
        // SAFETY: an open context and a filled packet, which the decoder references and does not keep the struct of.
        let code = unsafe { f.avcodec_send_packet(self.context.as_ptr(), self.packet.as_ptr()) };
        if code == sys::EAGAIN {
            return Err(self.order("frames wait to be received"));
        }
        check(f, &self.stage, "decode a packet", code).map(drop)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let f = self.context.f;
        // SAFETY: an open context; null is how the end is told.
        let code = unsafe { f.avcodec_send_packet(self.context.as_ptr(), std::ptr::null()) };
        if code == sys::EAGAIN {
            self.finished = false;
            return Err(self.order("frames wait to be received"));
        }
        if code == sys::EOF { Ok(()) } else { check(f, &self.stage, "finish", code).map(drop) }
    }

    /// The next frame, its timestamp, its duration.
    pub(crate) fn receive(&mut self) -> Result<Option<(RawFrame, Option<i64>, i64)>, Error> {
        let f = self.context.f;
        let frame = RawFrame::new(f)?;
        // SAFETY: an open context and an empty frame of ours.
        let code = unsafe { f.avcodec_receive_frame(self.context.as_ptr(), frame.as_ptr()) };
        if code == sys::EAGAIN || code == sys::EOF {
            return Ok(None);
        }
        check(f, &self.stage, "decode a frame", code)?;
        let fields = frame.fields();
        let pts = [fields.pts, fields.best_effort_timestamp].into_iter().find(|t| *t != sys::NO_TIME);
        let duration = pts.map_or(0, |pts| self.durations.take(pts));
        Ok(Some((frame, pts, duration)))
    }

    pub(crate) fn reset(&mut self) {
        // SAFETY: an open context.
        unsafe { self.context.f.avcodec_flush_buffers(self.context.as_ptr()) };
        self.durations.clear();
        self.finished = false;
    }

    fn order(&self, why: &'static str) -> Error {
        Error::Order { stage: self.stage.clone(), why }
    }
}
