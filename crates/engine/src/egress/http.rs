//! HTTP/1.1 over the egress, for trackers, web seeds and `.torrent` addresses: a whole answer with [`Egress::fetch`], a
//! connection to stream from with [`Egress::open_http`].
//!
//! Bodies are bounded, redirects are few and [guarded](super::guard), certificates are checked, nothing is remembered between requests:
//! no cookies, no cache.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{task::AbortHandle, time::timeout};
use tracker_proto::{Scheme, TrackerUrl};

use super::{
    Egress,
    guard::{self, Purpose, Reach},
    socks::Destination,
};

/// Of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
const REDIRECTS_MAX: usize = 5;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a TrackerUrl,
    /// Path and query, where they are not the address' own.
    pub(crate) target: Option<&'a str>,
    pub(crate) purpose: Purpose,
    /// Of the host, where they are known: IPv4 or IPv6 only, for a tracker that is told of us over both.
    pub(crate) addrs: Option<&'a [SocketAddr]>,
    pub(crate) body_bytes_max: usize,
    /// For everything, redirects included.
    pub(crate) wait: Duration,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: hyper::StatusCode,
    /// Seconds of `Retry-After`, if it says so.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer. Holds no path: that may be a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The request never got there.
    #[error("{0}")]
    Unreachable(io::Error),
    /// It was sent; then this.
    #[error("{0}")]
    NoAnswer(String),
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Unreachable(error) => error,
            HttpError::NoAnswer(reason) => Self::other(reason),
        }
    }
}

/// One connection, requests one after the other. Ends when dropped.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    authorization: Option<String>,
    driver: AbortHandle,
    /// Whether the other end is outside the house, as far as is known.
    public: bool,
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpConnection {
    /// Asks for path and query `target`; the body is read from the answer, before the next request.
    pub(crate) async fn get(
        &mut self,
        target: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> io::Result<Response<Incoming>> {
        self.sender.ready().await.map_err(io::Error::other)?;
        let mut request = Request::get(target)
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, crate::CLIENT)
            .header(header::ACCEPT, "*/*");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request
            .body(Empty::new())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an address that HTTP cannot carry"))?;
        self.sender.send_request(request).await.map_err(io::Error::other)
    }

    /// Whether the other end is outside the house, as far as is known: then it leads nowhere inside.
    pub(crate) fn is_public(&self) -> bool {
        self.public
    }

    /// Whether another request may be sent on it.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Egress {
    /// A connection to the server of `url`, if it may be asked for `target`. `addrs` are its addresses, where they are known;
    /// `from_public`: a public server redirected here.
    pub(crate) async fn open_http(
        &self,
        url: &TrackerUrl,
        target: &str,
        purpose: Purpose,
        addrs: Option<&[SocketAddr]>,
        from_public: bool,
    ) -> io::Result<HttpConnection> {
        if url.scheme() == Scheme::Udp {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let refuse = |reason| io::Error::new(io::ErrorKind::PermissionDenied, reason);
        let way = self.way();
        let stream = if way.proxy.is_some() {
            let to = Destination::new(url.host(), url.port());
            if let Destination::Address(addr) = to {
                guard::check(purpose, from_public, addr.ip(), target).map_err(refuse)?;
            }
            self.connect(&way, &to).await?
        } else {
            let mut addrs = match addrs {
                Some(addrs) => addrs.to_vec(),
                None => self.lookup(&way, url.host(), url.port()).await?,
            };
            let mut refusal = None;
            addrs.retain(|addr| match guard::check(purpose, from_public, addr.ip(), target) {
                Ok(()) => true,
                Err(reason) => {
                    refusal = Some(reason);
                    false
                }
            });
            if let (true, Some(reason)) = (addrs.is_empty(), refusal) {
                return Err(refuse(reason));
            }
            way.connect_any(&addrs).await?
        };
        // Behind a proxy nobody here knows where a name leads: taken for public, it sends us nowhere inside.
        let public = way.proxy.is_some() || {
            let peer: SocketAddr = stream.peer_addr()?;
            guard::reach(peer.ip()) == Reach::Public
        };
        let (sender, driver) = if url.scheme() == Scheme::Https {
            let stream = self.inner.tls.connect(url.host(), stream).await?;
            speak(TokioIo::new(stream)).await?
        } else {
            speak(TokioIo::new(stream)).await?
        };
        let authorization = url.user_info().map(|user_info| {
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(user_info).collect();
            format!("Basic {}", base64(&decoded))
        });
        Ok(HttpConnection { sender, authority: url.authority(), authorization, driver, public })
    }

    /// The answer to `ask`, after redirects.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(crate) async fn fetch(&self, ask: &Ask<'_>) -> Result<Answer, HttpError> {
        let mut sent = false;
        match self.unless_changed(timeout(ask.wait, self.follow(ask, &mut sent))).await {
            Ok(Ok(answer)) => answer,
            Err(error) if sent => Err(HttpError::NoAnswer(error.to_string())),
            Err(error) => Err(HttpError::Unreachable(error)),
            Ok(Err(_)) if sent => {
                Err(HttpError::NoAnswer(format!("no answer within {} s", ask.wait.as_secs())))
            }
            Ok(Err(_)) => Err(HttpError::Unreachable(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {} s", ask.wait.as_secs()),
            ))),
        }
    }

    async fn follow(&self, ask: &Ask<'_>, sent: &mut bool) -> Result<Answer, HttpError> {
        let mut url = ask.url.clone();
        let mut target = ask.target.unwrap_or(url.target()).to_owned();
        let (mut from_public, mut addrs) = (false, ask.addrs);
        for _ in 0..=REDIRECTS_MAX {
            let mut connection =
                self.open_http(&url, &target, ask.purpose, addrs, from_public).await.map_err(|error| {
                    if *sent { HttpError::NoAnswer(error.to_string()) } else { HttpError::Unreachable(error) }
                })?;
            *sent = true;
            let failed = |error: io::Error| HttpError::NoAnswer(error.to_string());
            let answer = connection.get(&target, &[(header::CONNECTION, "close")]).await.map_err(failed)?;
            if !answer.status().is_redirection() {
                return read(answer, ask.body_bytes_max).await;
            }
            let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
            let next = place
                .and_then(|place| redirected(&url, &target, place))
                .ok_or_else(|| HttpError::NoAnswer("redirected to no address".into()))?;
            if url.scheme() == Scheme::Https && next.scheme() != Scheme::Https {
                return Err(HttpError::NoAnswer("redirected from https to http: refused".into()));
            }
            from_public |= connection.public;
            next.target().clone_into(&mut target);
            addrs = None;
            url = next;
        }
        Err(HttpError::NoAnswer(format!("redirected more than {REDIRECTS_MAX} times")))
    }
}

async fn speak<T>(io: TokioIo<T>) -> io::Result<(SendRequest<Empty<Bytes>>, AbortHandle)>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(io).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(async move {
        // What goes wrong here, the request that waits is told.
        let _ = connection.await;
    });
    Ok((sender, driver.abort_handle()))
}

async fn read(answer: Response<Incoming>, bytes_max: usize) -> Result<Answer, HttpError> {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|after| after.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|error| HttpError::NoAnswer(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > bytes_max {
            return Err(HttpError::NoAnswer(format!("the answer has more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer { status, retry_after, body })
}

/// Where `place`, a `Location`, leads from `target` of `url` (RFC 3986, section 5, without dot segments).
pub(crate) fn redirected(url: &TrackerUrl, target: &str, place: &str) -> Option<TrackerUrl> {
    let scheme = url.scheme().as_str();
    let path = target.split('?').next().unwrap_or_default();
    let absolute = if place.contains("://") && !place.starts_with(['/', '?']) {
        place.to_owned()
    } else if let Some(rest) = place.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if place.starts_with('/') {
        format!("{scheme}://{}{place}", url.authority())
    } else if place.starts_with('?') {
        format!("{scheme}://{}{path}{place}", url.authority())
    } else {
        let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
        format!("{scheme}://{}{folder}{place}", url.authority())
    };
    absolute.parse().ok().filter(|url: &TrackerUrl| url.scheme() != Scheme::Udp)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = usize::try_from(group >> (18 - 6 * digit) & 63).unwrap_or(0);
            text.push(if digit > three.len() { '=' } else { char::from(DIGITS[index]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let url: TrackerUrl = "http://t.test:8080/a/announce?x=1".parse().unwrap();
        for (place, leads) in [
            ("https://u.test/b", Some("https://u.test/b")),
            ("//u.test/b", Some("http://u.test/b")),
            ("/b?y", Some("http://t.test:8080/b?y")),
            ("?y", Some("http://t.test:8080/a/announce?y")),
            ("b", Some("http://t.test:8080/a/b")),
            ("udp://u.test:1/", None),
            ("ftp://u.test/", None),
            ("http://exa mple/", None),
        ] {
            let found = redirected(&url, url.target(), place).map(|url| url.reveal());
            assert_eq!(found.as_deref(), leads, "{place}");
        }
    }

    #[test]
    fn base64_of_the_rfc() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
