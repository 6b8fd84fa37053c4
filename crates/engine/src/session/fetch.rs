//! A `.torrent` from an address, over the one way out.

use std::time::Duration;

use bytes::Bytes;
use metainfo::limits::TORRENT_BYTES_MAX;
use tracker_proto::{Scheme, TrackerUrl};

use super::Session;
use crate::{
    EngineError,
    egress::{guard::Purpose, http::Ask},
};

/// For everything, redirects included.
const WAIT: Duration = Duration::from_secs(30);

impl Session {
    /// Fetches what is behind an `http` or `https` address, the way all swarm traffic goes; whether it is a torrent is
    /// seen when it is added. `inside` lets it lead to this machine or its network: for addresses that the machine's owner
    /// names, not for those of whoever speaks HTTP to us.
    ///
    /// # Errors
    /// [`EngineError::Source`] when it is no such address, [`EngineError::Io`] when nothing is had from it.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub async fn fetch(&self, url: &str, inside: bool) -> Result<Bytes, EngineError> {
        let wrong = |why: &str| EngineError::Source { detail: format!("{}: {why}", url.escape_debug()) };
        let address: TrackerUrl = url.parse().map_err(|_| wrong("no http or https address"))?;
        if address.scheme() == Scheme::Udp {
            return Err(wrong("no http or https address"));
        }
        let ask = Ask {
            url: &address,
            target: None,
            purpose: if inside { Purpose::User } else { Purpose::Guest },
            addrs: None,
            body_bytes_max: TORRENT_BYTES_MAX,
            wait: WAIT,
        };
        let answer = self.core.egress.fetch(&ask).await.map_err(|error| EngineError::io(url, error))?;
        if !answer.status.is_success() {
            return Err(EngineError::io(url, format!("it answers {}", answer.status)));
        }
        Ok(answer.body.into())
    }
}
