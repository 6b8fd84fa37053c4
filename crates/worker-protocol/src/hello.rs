//! The first message of each side. Its layout never changes, so that any two versions can refuse each other.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::{ProtocolError, within},
    limits::BUILD_BYTES_MAX,
};

/// The version of everything after the hello.
pub const PROTOCOL: u32 = 1;
const BUILD: &str = env!("CARGO_PKG_VERSION");
const MAGIC: &[u8; 8] = b"headwtr\n";

/// Who speaks: `magic: [u8; 8]`, `protocol: u32`, `build_len: u8`, `build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u32,
    /// The version of the program.
    pub build: String,
}

impl Hello {
    /// Of this build.
    #[must_use]
    pub fn ours() -> Self {
        Self { protocol: PROTOCOL, build: BUILD.to_owned() }
    }

    /// Refuses another version than this build's.
    ///
    /// # Errors
    /// [`ProtocolError::Version`] with both.
    pub fn check(&self) -> Result<(), ProtocolError> {
        if self.protocol == PROTOCOL && self.build == BUILD {
            return Ok(());
        }
        let (theirs, build) = (self.protocol, self.build.clone());
        Err(ProtocolError::Version { theirs, build, ours: PROTOCOL, our_build: BUILD })
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        let build = self.build.as_bytes();
        let build = build.get(..BUILD_BYTES_MAX).unwrap_or(build);
        out.put_slice(MAGIC);
        out.put_u32_le(self.protocol);
        out.put_u8(u8::try_from(build.len()).unwrap_or(0));
        out.put_slice(build);
    }

    pub(crate) fn read(body: &Bytes) -> Result<Self, ProtocolError> {
        let malformed = |detail| ProtocolError::Malformed { what: "hello", detail };
        let (magic, rest) = body.split_first_chunk::<8>().ok_or(malformed("too short"))?;
        if magic != MAGIC {
            return Err(malformed("not a worker's or a server's"));
        }
        let (protocol, rest) = rest.split_first_chunk::<4>().ok_or(malformed("too short"))?;
        let (len, rest) = rest.split_first().ok_or(malformed("too short"))?;
        within("the version's name", *len, BUILD_BYTES_MAX)?;
        let build = rest.get(..usize::from(*len)).ok_or(malformed("too short"))?;
        let build = std::str::from_utf8(build).map_err(|_| malformed("a version that is not text"))?;
        Ok(Self { protocol: u32::from_le_bytes(*protocol), build: build.to_owned() })
    }
}
