//! Box framing (ISO/IEC 14496-12 §4.2): nested boxes whose sizes are filled in when they close.

/// A byte buffer that boxes are written into.
#[derive(Debug, Default)]
pub(super) struct BoxWriter {
    out: Vec<u8>,
}

impl BoxWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// Writes a box; `body` writes what is inside.
    pub(super) fn boxed(&mut self, kind: [u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.u32(0);
        self.bytes(&kind);
        body(self);
        // Headers are far below 4 GiB: their sizes come from limited records and sample counts.
        let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
        self.patch_u32(start, size);
    }

    /// Writes a full box: a box that begins with a version and 24 bits of flags.
    pub(super) fn full(&mut self, kind: [u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32((u32::from(version) << 24) | (flags & 0x00ff_ffff));
            body(w);
        });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Overwrites four bytes written before; `at` is an earlier [`len`](Self::len).
    pub(super) fn patch_u32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.out.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}
