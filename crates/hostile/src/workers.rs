//! What server and worker say to each other: either side may have been taken over.

use bytes::BytesMut;
use worker_protocol::{Decoder, FromWorker, ToWorker};

/// Reads `data` as both sides would. What was understood can be said again.
pub(crate) fn both(data: &[u8]) {
    let chunk = data.first().copied().map_or(1, |first| usize::from(first) + 1);
    let (mut decoder, mut out) = (Decoder::default(), BytesMut::new());
    for piece in data.chunks(chunk) {
        decoder.handle_input(piece);
        while let Ok(Some(frame)) = decoder.poll_frame() {
            if let Ok(message) = ToWorker::decode(frame.clone()) {
                message.encode(&mut out).expect("what was taken can be sent");
            }
            if let Ok(message) = FromWorker::decode(frame) {
                message.encode(&mut out).expect("what was taken can be sent");
            }
            out.clear();
        }
    }
}
