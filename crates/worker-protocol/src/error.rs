//! What is wrong with a message.

/// A message that is not believed; whoever sent it is not spoken to again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A length or a count past its limit.
    #[error("{what} is {value}: more than {max}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// What was said.
        value: u64,
        /// What is taken.
        max: u64,
    },
    /// A kind of message that this side does not take.
    #[error("a message of kind {0}: there is none")]
    Kind(u8),
    /// A body that cannot be read.
    #[error("{what}: {detail}")]
    Malformed {
        /// The message.
        what: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
    /// The other side is of another version.
    #[error(
        "the other side speaks protocol {theirs} of version {build:?}, this one {ours} of version {our_build:?}"
    )]
    Version {
        /// Their protocol.
        theirs: u32,
        /// Their build.
        build: String,
        /// Our protocol.
        ours: u32,
        /// Our build.
        our_build: &'static str,
    },
}

pub(crate) fn within(
    what: &'static str,
    value: impl TryInto<u64>,
    max: impl TryInto<u64>,
) -> Result<(), ProtocolError> {
    let (value, max) = (value.try_into().unwrap_or(u64::MAX), max.try_into().unwrap_or(u64::MAX));
    if value > max { Err(ProtocolError::Limit { what, value, max }) } else { Ok(()) }
}
