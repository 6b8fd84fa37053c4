//! MPEG transport streams (ISO/IEC 13818-1) for players that know no fragmented MP4: one programme, written a segment
//! at a time.
//!
//! ```text
//! PAT PMT | video PES | audio PES | video PES | …      by decode time; a PES is a picture, or some audio frames
//! ```
//!
//! **Continuity counters.** A segment is a pure function of its samples, yet players read one after the other. So each
//! elementary stream begins every segment at counter 0 and ends it on a multiple of 16 packets: the last PES is spread
//! over up to 15 more packets of a byte each (at most 2.8 KB). The counters then run on over any two segments, without
//! a mark that would make a player reset its clock. PAT and PMT come once a segment; sixteen copies would cost
//! more than they are worth, so theirs carry `discontinuity_indicator`, which on a table means the counter and nothing
//! else (§2.4.3.5).
//!
//! Times are taken as they come; shifts and decode times are `packager`'s. The parts: [`tables`] (PAT, PMT),
//! [`stream`] (how a codec's samples become an elementary stream), [`packet`] (PES and packets).

mod packet;
mod stream;
mod tables;

use bytes::Bytes;

use self::{
    packet::{CLOCK_PACKET_LEN, Clock, PACKET_LEN, Packets, Pes},
    stream::ElementaryStream,
};
use crate::{ContainerError, Sample, Track, TrackKind};

const FORM: &str = "MPEG-TS";

fn refused(what: impl Into<std::borrow::Cow<'static, str>>) -> ContainerError {
    ContainerError::CannotCarry { what: what.into(), form: FORM }
}

/// How far the programme clock runs behind decode times, 90 kHz ticks: a picture has 0.3 s to arrive.
const CLOCK_LEAD: i64 = 27_000;
/// Longest time between two clock references, 90 kHz ticks. The standard's limit is 100 ms (§2.7.2).
const CLOCK_INTERVAL: i64 = 8_100;
/// Clock references written between the samples of a segment: six minutes of gaps. Longer gaps stay without.
const CLOCKS_BETWEEN_MAX: i64 = 4_096;
/// Bytes of audio gathered in a PES: sixteen packets, and under the 3,584 of an AAC decoder's buffer (§2.4.2.7).
const AUDIO_PES_BYTES: usize = 2_930;
/// Time gathered in an audio PES, 90 kHz ticks.
const AUDIO_PES_TICKS: i64 = 27_000;
/// Audio frames farther than this from where the frame before ends begin their own PES with their own time: 1 ms.
const AUDIO_JUMP_TICKS: u64 = 90;
/// The largest `PES_packet_length`.
const AUDIO_PES_BYTES_MAX: usize = 0xffff - 8;

/// Elementary streams of one programme: PIDs and stream numbers are counted in a few bits.
const STREAMS_MAX: usize = 16;

/// Writes segments of one programme: at most one video track, and audio tracks.
#[derive(Clone, Debug)]
pub struct TsWriter {
    streams: Vec<ElementaryStream>,
    /// PAT and PMT, as packets.
    tables: Vec<u8>,
    /// Which stream carries the clock: the video, else the first.
    clock_stream: usize,
}

impl TsWriter {
    /// For these tracks, in the order in which [`write_segment`](Self::write_segment) gets their samples.
    ///
    /// # Errors
    /// [`ContainerError::CannotCarry`] for a codec that has no mapping that players know (Opus, FLAC, VP9, AV1), for a
    /// second video track, for more than 16 tracks or for none.
    pub fn new(tracks: &[&Track]) -> Result<Self, ContainerError> {
        if tracks.is_empty() || tracks.len() > STREAMS_MAX {
            return Err(refused(format!("a programme of {} tracks", tracks.len())));
        }
        if tracks.iter().filter(|t| t.kind == TrackKind::Video).count() > 1 {
            return Err(refused("a second video track"));
        }
        let streams: Vec<_> = (0_u8..)
            .zip(tracks)
            .map(|(number, track)| ElementaryStream::new(track, number))
            .collect::<Result<_, _>>()?;
        let clock_stream = streams.iter().position(ElementaryStream::is_video).unwrap_or(0);
        let tables = tables::packets(&streams, clock_stream);
        Ok(Self { streams, tables, clock_stream })
    }

    /// One segment: tables, then the samples of every track (in decode order, per track) by decode time. Times are
    /// ticks of 90 kHz, offset already applied; they are written modulo 2^33. Of a damaged video sample, whole NAL units
    /// and what is there of the last one are written; a sample without a byte is left out.
    ///
    /// # Errors
    /// [`ContainerError::CannotCarry`] for a frame that the format cannot hold (AAC over 8,184 bytes, other audio over
    /// 64 KiB), and when `samples` has not one entry for each track.
    pub fn write_segment(&self, samples: &[&[Sample]]) -> Result<Bytes, ContainerError> {
        if samples.len() != self.streams.len() {
            return Err(refused(format!(
                "{} tracks in a programme of {}",
                samples.len(),
                self.streams.len()
            )));
        }
        let mut units = Vec::with_capacity(samples.len());
        for (index, (stream, samples)) in self.streams.iter().zip(samples).enumerate() {
            units.push(self.units(index, stream, samples)?);
        }
        let order = interleave(&units);
        let end = samples
            .get(self.clock_stream)
            .and_then(|samples| samples.last())
            .map(|last| last.dts.saturating_add(i64::from(last.duration)));

        let mut out = Packets::with_capacity(self.segment_len(&units, &order, end));
        out.raw(&self.tables);
        let mut clock = ClockTrack::new();
        for unit in order {
            let is_clock = unit.stream == self.clock_stream;
            for time in clock.before(unit.pes.dts, is_clock) {
                out.clock_only(self.clock_pid(), clock_at(time));
            }
            let Some(stream) = self.streams.get(unit.stream) else { continue };
            let mut pes = out.pes(stream.pid(), &unit.pes);
            stream.write(unit.samples, unit.first, &mut pes);
        }
        for time in end.into_iter().flat_map(|end| clock.before(end.saturating_sub(1), false)) {
            out.clock_only(self.clock_pid(), clock_at(time));
        }
        Ok(out.finish())
    }

    fn clock_pid(&self) -> u16 {
        self.streams.get(self.clock_stream).map_or(0, ElementaryStream::pid)
    }

    /// Exactly the bytes that the units will take.
    fn segment_len(&self, units: &[Vec<Unit<'_>>], order: &[&Unit<'_>], end: Option<i64>) -> usize {
        let mut clock = ClockTrack::new();
        let mut clocks = 0;
        for unit in order {
            clocks += clock.before(unit.pes.dts, unit.stream == self.clock_stream).count();
        }
        clocks += end.map_or(0, |end| clock.before(end.saturating_sub(1), false).count());
        let packets: usize = units.iter().flatten().map(|unit| unit.pes.packets()).sum();
        self.tables.len() + packets * PACKET_LEN + clocks * CLOCK_PACKET_LEN
    }

    /// The PES packets of one stream, the last stretched so that the counters end where they began.
    fn units<'s>(
        &self,
        index: usize,
        stream: &ElementaryStream,
        samples: &'s [Sample],
    ) -> Result<Vec<Unit<'s>>, ContainerError> {
        let has_clock = index == self.clock_stream;
        let mut units: Vec<Unit<'s>> = Vec::new();
        let mut rest = samples;
        while let Some(first) = rest.first() {
            let count = if stream.is_video() { 1 } else { audio_run(stream, rest, has_clock) };
            let (run, after) = rest.split_at_checked(count.max(1)).unwrap_or((rest, &[]));
            rest = after;
            let is_first = units.is_empty();
            let payload = stream.len(run, is_first)?;
            if payload == 0 {
                continue;
            }
            let pes = Pes {
                stream_id: stream.stream_id(),
                pts: first.pts,
                dts: if stream.is_video() { first.dts } else { first.pts },
                payload,
                is_video: stream.is_video(),
                random_access: stream.is_video() && first.sync,
                clock: has_clock.then(|| clock_at(if stream.is_video() { first.dts } else { first.pts })),
                tail: 0,
            };
            units.push(Unit { stream: index, samples: run, first: is_first, pes });
        }
        let before: usize = units.iter().rev().skip(1).map(|unit| unit.pes.packets()).sum();
        if let Some(last) = units.last_mut() {
            last.pes.stretch(before);
        }
        Ok(units)
    }
}

/// A PES to be written: which samples of which stream.
struct Unit<'s> {
    stream: usize,
    samples: &'s [Sample],
    /// The first of its stream in the segment.
    first: bool,
    pes: Pes,
}

/// How many frames from the front of `samples` share a PES.
fn audio_run(stream: &ElementaryStream, samples: &[Sample], has_clock: bool) -> usize {
    let ticks_max = if has_clock { CLOCK_INTERVAL } else { AUDIO_PES_TICKS };
    let mut bytes = 0;
    let mut count = 0;
    let mut expected = None;
    for sample in samples {
        let first = samples.first().map_or(sample.pts, |first| first.pts);
        let frame = stream.frame_len(sample);
        let follows = expected.is_none_or(|at: i64| sample.pts.abs_diff(at) <= AUDIO_JUMP_TICKS);
        let ends = sample.pts.saturating_add(i64::from(sample.duration)).saturating_sub(first);
        if count > 0 && (!follows || bytes + frame > AUDIO_PES_BYTES || ends > ticks_max) {
            break;
        }
        bytes += frame;
        count += 1;
        expected = Some(stream.frame_end(sample));
    }
    count
}

/// All streams' units by decode time; of equal times, the earlier stream's first. Within a stream the order stays.
fn interleave<'u, 's>(units: &'u [Vec<Unit<'s>>]) -> Vec<&'u Unit<'s>> {
    let mut heads: Vec<_> = units.iter().map(|stream| stream.iter().peekable()).collect();
    let mut order = Vec::with_capacity(units.iter().map(Vec::len).sum());
    loop {
        let next = heads
            .iter_mut()
            .enumerate()
            .filter_map(|(index, head)| head.peek().map(|unit| (unit.pes.dts, index)))
            .min();
        let Some(head) = next.and_then(|(_, index)| heads.get_mut(index)) else { return order };
        order.extend(head.next());
    }
}

fn clock_at(time: i64) -> Clock {
    Clock::new(time.saturating_sub(CLOCK_LEAD))
}

/// When the last clock reference was written, and how many more may be written between samples.
struct ClockTrack {
    last: Option<i64>,
    budget: i64,
}

impl ClockTrack {
    fn new() -> Self {
        Self { last: None, budget: CLOCKS_BETWEEN_MAX }
    }

    /// The times at which packets with nothing but a clock reference have to come before a unit of decode time `dts`,
    /// which itself `has_clock` or not.
    fn before(&mut self, dts: i64, has_clock: bool) -> impl Iterator<Item = i64> + use<> {
        let (first, count) = match self.last {
            None => {
                self.last = Some(dts);
                (dts, i64::from(!has_clock))
            }
            Some(last) => {
                // At the unit's own time its own reference is enough.
                let span = dts.saturating_sub(last).saturating_sub(i64::from(has_clock)).max(0);
                let gaps = span / CLOCK_INTERVAL;
                let count = if gaps <= self.budget { gaps } else { 0 };
                let written_to = last.saturating_add(count.saturating_mul(CLOCK_INTERVAL));
                self.budget -= count;
                self.last = Some(if has_clock || count < gaps { last.max(dts) } else { written_to });
                (last.saturating_add(CLOCK_INTERVAL), count)
            }
        };
        (0..count).map(move |n| first.saturating_add(n * CLOCK_INTERVAL))
    }
}

#[cfg(test)]
mod tests;
