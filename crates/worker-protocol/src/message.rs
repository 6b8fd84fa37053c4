//! The messages after the hello.
//!
//! Samples are laid out by hand, because they are many and large: `pts: i64`, `dts: i64`, `duration: u32`,
//! `flags: u8` (bit 0: sync), the coded bytes to the frame's end. The rest is `postcard`, of which nothing is kept
//! that is not checked.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use container::Sample;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{ProtocolError, within},
    frame::{Frame, SAMPLE, put},
    hello::Hello,
    limits::{FRAME_BYTES_MAX, TEXT_BYTES_MAX},
    sandbox::{Attempt, Report, Sandbox},
    spec::{AudioSpec, OutputTrack, VideoSpec},
};

const HELLO: u8 = 0;
const VIDEO: u8 = 1;
const AUDIO: u8 = 2;
const END: u8 = 4;
const ECHO: u8 = 5;
const TRY: u8 = 6;
const TRACK: u8 = 7;
const DONE: u8 = 8;
const FAILED: u8 = 9;
/// Bytes of a sample before its coded bytes.
const SAMPLE_HEAD_BYTES: usize = 21;

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// First of all.
    Hello(Hello),
    /// Encode a stretch of video; its samples and [`End`](Self::End) follow.
    Video(VideoSpec),
    /// Encode a stretch of sound; its samples and [`End`](Self::End) follow.
    Audio(AudioSpec),
    /// The next sample of the request, in decode order.
    Sample(Sample),
    /// The request has no more samples.
    End,
    /// Send the samples that follow back as they are: the path alone, without a codec.
    Echo,
    /// Try what must not succeed.
    Try(Attempt),
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// First of all, with what the kernel granted.
    Hello(Hello, Report),
    /// What the samples are; before the first of them.
    Track(OutputTrack),
    /// The next sample of the answer, in decode order.
    Sample(Sample),
    /// The request has been carried out.
    Done(Usage),
    /// The request cannot be carried out; the worker is ready for the next one.
    Failed(Failure),
}

/// What a worker took since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Milliseconds of CPU time.
    pub cpu_ms: u64,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The film's: its samples cannot be decoded.
    Input,
    /// There is no such decoder or encoder in this build.
    Unsupported,
    /// The request makes no sense.
    Request,
    /// Memory or another limit.
    Limit,
    /// Ours.
    Internal,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault.
    pub fault: Fault,
    /// Which step, and what it said.
    pub text: String,
}

impl Failure {
    /// A failure whose text is cut to what may be sent.
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > TEXT_BYTES_MAX {
            let at = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(at);
        }
        Self { fault, text }
    }
}

impl ToWorker {
    /// Appends the message to what is to be sent.
    ///
    /// # Errors
    /// [`ProtocolError::Limit`] or [`ProtocolError::Malformed`] for what the other side would refuse; nothing is
    /// appended then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), ProtocolError> {
        match self {
            Self::Hello(hello) => put(out, HELLO, |out| hello.write(out)),
            Self::Video(spec) => {
                spec.check()?;
                put_value(out, VIDEO, spec);
            }
            Self::Audio(spec) => {
                spec.check()?;
                put_value(out, AUDIO, spec);
            }
            Self::Sample(sample) => put_sample(out, sample)?,
            Self::End => put(out, END, |_| ()),
            Self::Echo => put(out, ECHO, |_| ()),
            Self::Try(attempt) => put_value(out, TRY, attempt),
        }
        Ok(())
    }

    /// Understands a frame.
    ///
    /// # Errors
    /// [`ProtocolError`].
    pub fn decode(frame: Frame) -> Result<Self, ProtocolError> {
        Ok(match frame.kind {
            HELLO => Self::Hello(Hello::read(&frame.body)?),
            VIDEO => {
                let spec: VideoSpec = value("video", &frame.body)?;
                spec.check()?;
                Self::Video(spec)
            }
            AUDIO => {
                let spec: AudioSpec = value("audio", &frame.body)?;
                spec.check()?;
                Self::Audio(spec)
            }
            SAMPLE => Self::Sample(sample(frame.body)?),
            END => empty("end", &frame.body).map(|()| Self::End)?,
            ECHO => empty("echo", &frame.body).map(|()| Self::Echo)?,
            TRY => Self::Try(value("try", &frame.body)?),
            other => return Err(ProtocolError::Kind(other)),
        })
    }
}

impl FromWorker {
    /// Appends the message to what is to be sent.
    ///
    /// # Errors
    /// As [`ToWorker::encode`].
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), ProtocolError> {
        match self {
            Self::Hello(hello, report) => put(out, HELLO, |out| {
                hello.write(out);
                out.extend_from_slice(&postcard::to_stdvec(report).unwrap_or_default());
            }),
            Self::Track(track) => {
                track.check()?;
                put_value(out, TRACK, track);
            }
            Self::Sample(sample) => put_sample(out, sample)?,
            Self::Done(usage) => put_value(out, DONE, usage),
            Self::Failed(failure) => put_value(out, FAILED, failure),
        }
        Ok(())
    }

    /// Understands a frame.
    ///
    /// # Errors
    /// [`ProtocolError`].
    pub fn decode(frame: Frame) -> Result<Self, ProtocolError> {
        Ok(match frame.kind {
            HELLO => {
                let hello = Hello::read(&frame.body)?;
                // What follows the hello is only read from a worker of this version.
                let report = match hello.check() {
                    Ok(()) => value("hello", frame.body.get(13 + hello.build.len()..).unwrap_or_default())?,
                    Err(_) => {
                        Report { sandbox: Sandbox::default(), codecs: Err("another version".to_owned()) }
                    }
                };
                Self::Hello(hello, report)
            }
            TRACK => {
                let track: OutputTrack = value("track", &frame.body)?;
                track.check()?;
                Self::Track(track)
            }
            SAMPLE => Self::Sample(sample(frame.body)?),
            DONE => Self::Done(value("done", &frame.body)?),
            FAILED => {
                let failure: Failure = value("failed", &frame.body)?;
                within("the text of a failure", failure.text.len(), TEXT_BYTES_MAX)?;
                Self::Failed(failure)
            }
            other => return Err(ProtocolError::Kind(other)),
        })
    }
}

/// None of these types can fail to serialise: no maps of unknown length, no floats in keys.
fn put_value(out: &mut BytesMut, kind: u8, value: &impl Serialize) {
    put(out, kind, |out| out.extend_from_slice(&postcard::to_stdvec(value).unwrap_or_default()));
}

fn value<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, ProtocolError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(ProtocolError::Malformed { what, detail: "more than one message" }),
        Err(_) => Err(ProtocolError::Malformed { what, detail: "cannot be read" }),
    }
}

fn empty(what: &'static str, body: &Bytes) -> Result<(), ProtocolError> {
    if body.is_empty() { Ok(()) } else { Err(ProtocolError::Malformed { what, detail: "has a body" }) }
}

fn put_sample(out: &mut BytesMut, sample: &Sample) -> Result<(), ProtocolError> {
    within("a sample", SAMPLE_HEAD_BYTES.saturating_add(sample.data.len()), FRAME_BYTES_MAX)?;
    put(out, SAMPLE, |out| {
        out.put_i64_le(sample.pts);
        out.put_i64_le(sample.dts);
        out.put_u32_le(sample.duration);
        out.put_u8(u8::from(sample.sync));
        out.put_slice(&sample.data);
    });
    Ok(())
}

fn sample(mut body: Bytes) -> Result<Sample, ProtocolError> {
    let malformed = |detail| ProtocolError::Malformed { what: "a sample", detail };
    if body.len() < SAMPLE_HEAD_BYTES {
        return Err(malformed("too short"));
    }
    let (pts, dts, duration) = (body.get_i64_le(), body.get_i64_le(), body.get_u32_le());
    let sync = match body.get_u8() {
        flags @ 0..=1 => flags == 1,
        _ => return Err(malformed("unknown flags")),
    };
    Ok(Sample { pts, dts, duration, sync, data: body })
}
