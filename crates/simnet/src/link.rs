//! What a message passes: a socket buffer, an uplink, the distance, a downlink.

use std::{collections::VecDeque, time::Duration};

use peer_wire::Message;

/// What a node's line can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) up_bytes_per_s: u64,
    pub(crate) down_bytes_per_s: u64,
    /// From the node to the middle of the network.
    pub(crate) latency: Duration,
    /// One in so many messages with payload is lost and comes a round trip later; 0: none.
    pub(crate) lost_one_in: u64,
    /// Bytes written ahead of the line: what no CANCEL takes back.
    pub(crate) socket_bytes: u64,
    /// Its own limiter hands out the rate in portions, one each so often, and sends each at once; zero: it sends evenly.
    pub(crate) gusts: Duration,
}

/// What a limiter that works in portions sends at.
const GUST_BYTES_PER_S: u64 = 100 << 20;

/// What is left of the current portion.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    /// Which portion, counted in `gusts` since the beginning.
    number: u128,
    left: u64,
}

impl Line {
    /// When a message of `bytes` that may leave from `now` on has left.
    pub(crate) fn leaves(&self, now: Duration, bytes: u64, portion: &mut Portion) -> Duration {
        if self.gusts.is_zero() {
            return now + transfer(bytes, self.up_bytes_per_s);
        }
        let number = now.as_nanos() / self.gusts.as_nanos();
        let each =
            self.up_bytes_per_s.saturating_mul(u64::try_from(self.gusts.as_micros()).unwrap_or(u64::MAX))
                / 1_000_000;
        if number != portion.number {
            // What was not used is lost, what was overdrawn is owed.
            *portion = Portion { number, left: each };
        }
        if portion.left > 0 {
            portion.left = portion.left.saturating_sub(bytes);
            return now + transfer(bytes, GUST_BYTES_PER_S);
        }
        let next =
            Duration::from_nanos(u64::try_from((number + 1) * self.gusts.as_nanos()).unwrap_or(u64::MAX));
        *portion = Portion { number: number + 1, left: each.saturating_sub(bytes) };
        next + transfer(bytes, GUST_BYTES_PER_S)
    }
}

impl Line {
    pub(crate) const fn new(up_bytes_per_s: u64, down_bytes_per_s: u64, latency: Duration) -> Self {
        Self {
            up_bytes_per_s,
            down_bytes_per_s,
            latency,
            lost_one_in: 0,
            socket_bytes: 256 << 10,
            gusts: Duration::ZERO,
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Not yet written to the socket.
    pub(crate) waiting: VecDeque<Message>,
    /// Written.
    socket: VecDeque<(Message, u64)>,
    socket_bytes: u64,
    /// In its node's list of streams that have something to send.
    pub(crate) queued: bool,
    /// Messages arrive in order: none before this.
    pub(crate) not_before: Duration,
}

/// Bytes of a message on the wire, headers of TCP and IP included.
pub(crate) fn wire_bytes(message: &Message) -> u64 {
    let payload = match message {
        Message::Piece { data, .. } => data.len() + 13,
        Message::Bitfield(bits) => bits.len() + 5,
        Message::Request(_) | Message::Cancel(_) | Message::Reject(_) => 17,
        Message::Have(_) | Message::AllowedFast(_) | Message::SuggestPiece(_) => 9,
        Message::ExtendedHandshake(_) => 150,
        Message::Pex(_) => 300,
        Message::Metadata(_) => 16_500,
        _ => 5,
    };
    payload as u64
}

/// Payload of blocks in a message.
pub(crate) fn payload_bytes(message: &Message) -> u64 {
    match message {
        Message::Piece { data, .. } => data.len() as u64,
        _ => 0,
    }
}

impl Stream {
    /// Whether another message fits into the socket buffer; small ones always do.
    pub(crate) fn has_room(&self, limit: u64) -> bool {
        self.socket_bytes < limit
    }

    pub(crate) fn write(&mut self, message: Message) {
        let bytes = wire_bytes(&message);
        self.socket_bytes += bytes;
        self.socket.push_back((message, bytes));
    }

    /// The next message to go over the uplink.
    pub(crate) fn leave(&mut self) -> Option<(Message, u64)> {
        let (message, bytes) = self.socket.pop_front()?;
        self.socket_bytes -= bytes;
        Some((message, bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.socket.is_empty()
    }
}

/// The time `bytes` take at a rate.
pub(crate) fn transfer(bytes: u64, bytes_per_s: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / bytes_per_s.max(1))
}
