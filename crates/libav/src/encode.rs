//! An encoder of either kind: frames in, packets out.

use crate::{
    decode::Context,
    error::{Error, check},
    frame::RawFrame,
    packet::RawPacket,
    sys::{self, Options},
};

/// An open encoder.
pub(crate) struct Encoder {
    context: Context,
    packet: RawPacket,
    stage: String,
    finished: bool,
}

impl Encoder {
    /// Opens the encoder called `name` with what `configure` sets.
    pub(crate) fn open(
        name: &'static str,
        configure: impl FnOnce(&mut sys::AVCodecContext, &mut Options) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let f = sys::functions()?;
        let wanted = sys::c_string(name);
        // SAFETY: looks a name up; the answer is null or lives as long as the library.
        let codec = unsafe { f.avcodec_find_encoder_by_name(wanted.as_ptr()) };
        if codec.is_null() {
            return Err(Error::Missing(format!("encoder {name}")));
        }
        let stage = format!("encoder {name}");
        let mut context = Context::new(f, codec)?;
        let mut options = Options::new(f);
        context.fields_mut().flags |= sys::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        configure(context.fields_mut(), &mut options)?;
        // SAFETY: the context was made for this codec; options that it takes are removed from the dictionary of ours.
        let code = unsafe { f.avcodec_open2(context.as_ptr(), codec, options.raw_mut()) };
        check(f, &stage, "open", code)?;
        if let Some(option) = options.left() {
            return Err(Error::Missing(format!("option {option} of {stage}")));
        }
        Ok(Self { context, packet: RawPacket::new(f)?, stage, finished: false })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Takes a frame. The caller has checked that it is of the format and size that the encoder was opened with.
    pub(crate) fn send(&mut self, frame: &RawFrame) -> Result<(), Error> {
        if self.finished {
            return Err(self.order("nothing comes after the end"));
        }
        let f = self.context.f;
        // SAFETY: an open context; the frame holds what the encoder was opened for, and the encoder takes references to
        // its buffers, not to the struct.
        let code = unsafe { f.avcodec_send_frame(self.context.as_ptr(), frame.as_ptr()) };
        if code == sys::EAGAIN {
            return Err(self.order("samples wait to be received"));
        }
        check(f, &self.stage, "encode a frame", code).map(drop)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let f = self.context.f;
        // SAFETY: an open context; null is how the end is told.
        let code = unsafe { f.avcodec_send_frame(self.context.as_ptr(), std::ptr::null()) };
        if code == sys::EAGAIN {
            self.finished = false;
            return Err(self.order("samples wait to be received"));
        }
        if code == sys::EOF { Ok(()) } else { check(f, &self.stage, "finish", code).map(drop) }
    }

    /// The next packet, valid until the next call.
    pub(crate) fn receive(&mut self) -> Result<Option<&RawPacket>, Error> {
        let f = self.context.f;
        // SAFETY: an open context and a packet of ours, which is emptied first.
        let code = unsafe { f.avcodec_receive_packet(self.context.as_ptr(), self.packet.as_ptr()) };
        if code == sys::EAGAIN || code == sys::EOF {
            return Ok(None);
        }
        check(f, &self.stage, "take a packet", code)?;
        Ok(Some(&self.packet))
    }

    pub(crate) fn order(&self, why: &'static str) -> Error {
        Error::Order { stage: self.stage.clone(), why }
    }
}
