//! Packets of 188 bytes, adaptation fields (§2.4.3) and PES headers (§2.4.3.6).
//!
//! The lengths are known before anything is written, so payload is copied once, straight to its place.

use bytes::Bytes;

pub(super) const PACKET_LEN: usize = 188;
/// A packet with nothing but a clock reference.
pub(super) const CLOCK_PACKET_LEN: usize = PACKET_LEN;
const HEADER_LEN: usize = 4;
const BODY_LEN: usize = PACKET_LEN - HEADER_LEN;
const SYNC: u8 = 0x47;
const TIME_MASK: i64 = (1 << 33) - 1;
static STUFFING: [u8; BODY_LEN] = [0xff; BODY_LEN];

/// Counters are of four bits.
const COUNTER_PERIOD: usize = 16;
/// PIDs are given out from [`PID_FIRST`](super::stream::PID_FIRST), so that a counter is found by the low bits.
const COUNTERS: usize = super::STREAMS_MAX;

/// A programme clock reference, ready to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock([u8; 6]);

impl Clock {
    /// Of a time in 90 kHz ticks; the 27 MHz extension stays 0.
    pub(super) fn new(time: i64) -> Self {
        const RESERVED: i64 = 0x7e00;
        let field = ((time & TIME_MASK) << 15) | RESERVED;
        let [_, _, bytes @ ..] = field.to_be_bytes();
        Self(bytes)
    }
}

/// One PES packet, as it was planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pes {
    pub(super) stream_id: u8,
    /// 90 kHz ticks.
    pub(super) pts: i64,
    pub(super) dts: i64,
    /// Bytes after the PES header.
    pub(super) payload: usize,
    /// The length field stays 0, which only video may (§2.4.3.7).
    pub(super) is_video: bool,
    pub(super) random_access: bool,
    pub(super) clock: Option<Clock>,
    /// This many bytes from the end go into a packet each: see [`stretch`](Self::stretch).
    pub(super) tail: usize,
}

impl Pes {
    const fn has_dts(&self) -> bool {
        self.pts != self.dts
    }

    const fn header_len(&self) -> usize {
        if self.has_dts() { 19 } else { 14 }
    }

    const fn len(&self) -> usize {
        self.header_len() + self.payload
    }

    /// Adaptation field of the first packet, without its length byte and stuffing.
    const fn adaptation_len(&self) -> usize {
        match (self.random_access, self.clock) {
            (_, Some(_)) => 7,
            (true, None) => 1,
            (false, None) => 0,
        }
    }

    /// Room for payload in the first packet.
    const fn first_room(&self) -> usize {
        match self.adaptation_len() {
            0 => BODY_LEN,
            len => BODY_LEN - 1 - len,
        }
    }

    /// Packets that it takes.
    pub(super) fn packets(&self) -> usize {
        self.packets_with_tail(self.tail)
    }

    fn packets_with_tail(&self, tail: usize) -> usize {
        let main = self.len() - tail;
        1 + main.saturating_sub(self.first_room()).div_ceil(BODY_LEN) + tail
    }

    /// Chooses the tail so that with the `before` packets of its stream the count is a multiple of 16. A PES under 17
    /// bytes, as no encoder makes, may stay as it is.
    pub(super) fn stretch(&mut self, before: usize) {
        let fits = |tail: &usize| (before + self.packets_with_tail(*tail)).is_multiple_of(COUNTER_PERIOD);
        self.tail = (0..=COUNTER_PERIOD.min(self.len() - 1)).find(fits).unwrap_or(0);
    }

    fn header(&self) -> ([u8; 19], usize) {
        const MARKED_ALIGNED: u8 = 0x84;
        let has_dts = self.has_dts();
        let after_length = self.len() - 6;
        let length = if self.is_video { 0 } else { u16::try_from(after_length).unwrap_or(0) }.to_be_bytes();
        let mut header = [0; 19];
        let (fixed, times) = header.split_at_mut(9);
        fixed.copy_from_slice(&[
            0,
            0,
            1,
            self.stream_id,
            length[0],
            length[1],
            MARKED_ALIGNED,
            if has_dts { 0xc0 } else { 0x80 },
            if has_dts { 10 } else { 5 },
        ]);
        let (pts, dts) = times.split_at_mut(5);
        pts.copy_from_slice(&timestamp(if has_dts { 3 } else { 2 }, self.pts));
        if has_dts {
            dts.copy_from_slice(&timestamp(1, self.dts));
        }
        (header, self.header_len())
    }
}

/// 33 bits in five bytes, with a prefix of four bits and a marker bit after each part.
fn timestamp(prefix: i64, time: i64) -> [u8; 5] {
    let t = time & TIME_MASK;
    let field = (prefix << 36)
        | ((t >> 30) << 33)
        | (1 << 32)
        | (((t >> 15) & 0x7fff) << 17)
        | (1 << 16)
        | ((t & 0x7fff) << 1)
        | 1;
    let [_, _, _, bytes @ ..] = field.to_be_bytes();
    bytes
}

/// The packets of a segment.
#[derive(Debug)]
pub(super) struct Packets {
    out: Vec<u8>,
    counters: [u8; COUNTERS],
}

impl Packets {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), counters: [0; COUNTERS] }
    }

    pub(super) fn raw(&mut self, packets: &[u8]) {
        self.out.extend_from_slice(packets);
    }

    /// A packet without payload: its counter is that of the packet before.
    pub(super) fn clock_only(&mut self, pid: u16, clock: Clock) {
        let counter = self.counters[usize::from(pid) % COUNTERS].wrapping_sub(1) & 0x0f;
        let [high, low] = pid.to_be_bytes();
        self.out.extend_from_slice(&[SYNC, high, low, 0x20 | counter, 183, 0x10]);
        self.out.extend_from_slice(&clock.0);
        self.out.extend_from_slice(&STUFFING[..PACKET_LEN - 12]);
    }

    /// Begins a PES: its header is written, its payload has to follow, exactly as long as planned.
    pub(super) fn pes(&mut self, pid: u16, pes: &Pes) -> PesWriter<'_> {
        let mut writer = PesWriter {
            out: &mut self.out,
            counter: &mut self.counters[usize::from(pid) % COUNTERS],
            pid,
            main_left: pes.len() - pes.tail,
            room: 0,
        };
        writer.first_packet(pes);
        let (header, len) = pes.header();
        writer.write(&header[..len]);
        writer
    }

    pub(super) fn finish(self) -> Bytes {
        self.out.into()
    }
}

/// Takes the payload of one PES.
#[derive(Debug)]
pub(super) struct PesWriter<'p> {
    out: &'p mut Vec<u8>,
    counter: &'p mut u8,
    pid: u16,
    /// Bytes of the PES for which no packet has been begun, without the tail.
    main_left: usize,
    /// Bytes free in the packet at the end of `out`.
    room: usize,
}

impl PesWriter<'_> {
    fn header(&mut self, start: bool, adaptation: bool) -> [u8; 4] {
        let [high, low] = self.pid.to_be_bytes();
        let counter = *self.counter;
        *self.counter = (counter + 1) & 0x0f;
        let control = if adaptation { 0x30 } else { 0x10 };
        [SYNC, high | if start { 0x40 } else { 0 }, low, control | counter]
    }

    fn first_packet(&mut self, pes: &Pes) {
        let stuffing = pes.first_room().saturating_sub(self.main_left);
        let header = self.header(true, pes.adaptation_len() > 0 || stuffing > 0);
        self.out.extend_from_slice(&header);
        let flags = if pes.random_access { 0x40 } else { 0 } | if pes.clock.is_some() { 0x10 } else { 0 };
        if flags == 0 {
            self.stuff(stuffing);
        } else {
            let len = u8::try_from(pes.adaptation_len() + stuffing).unwrap_or(0);
            self.out.extend_from_slice(&[len, flags]);
            if let Some(clock) = pes.clock {
                self.out.extend_from_slice(&clock.0);
            }
            self.out.extend_from_slice(&STUFFING[..stuffing]);
        }
        self.room = pes.first_room() - stuffing;
        self.main_left -= self.room;
    }

    /// An adaptation field of `len` bytes that says nothing.
    fn stuff(&mut self, len: usize) {
        match len {
            0 => {}
            1 => self.out.push(0),
            _ => {
                self.out.extend_from_slice(&[u8::try_from(len - 1).unwrap_or(0), 0]);
                self.out.extend_from_slice(&STUFFING[..len - 2]);
            }
        }
    }

    fn next_packet(&mut self) {
        // When the main part is done, the tail goes a byte a packet.
        let take = if self.main_left == 0 { 1 } else { self.main_left.min(BODY_LEN) };
        let stuffing = BODY_LEN - take;
        let header = self.header(false, stuffing > 0);
        self.out.extend_from_slice(&header);
        self.stuff(stuffing);
        self.room = take;
        self.main_left = self.main_left.saturating_sub(take);
    }

    /// Appends payload.
    pub(super) fn write(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.room == 0 {
                data = self.whole_packets(data);
                if data.is_empty() {
                    return;
                }
                self.next_packet();
            }
            let (now, later) = data.split_at(self.room.min(data.len()));
            self.out.extend_from_slice(now);
            self.room -= now.len();
            data = later;
        }
    }

    /// The bulk of the work: packets that `data` fills alone. Gives back what is left of it.
    fn whole_packets<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let count = data.len().min(self.main_left) / BODY_LEN;
        let (bulk, rest) = data.split_at(count * BODY_LEN);
        let [high, low] = self.pid.to_be_bytes();
        let mut counter = *self.counter;
        for body in bulk.as_chunks::<BODY_LEN>().0 {
            self.out.extend_from_slice(&[SYNC, high, low, 0x10 | counter]);
            self.out.extend_from_slice(body);
            counter = (counter + 1) & 0x0f;
        }
        *self.counter = counter;
        self.main_left -= bulk.len();
        rest
    }
}
