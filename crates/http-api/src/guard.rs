//! What every request passes: the Host check, the count, a net for panics; and the headers every answer carries.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    str::FromStr,
    sync::atomic::Ordering,
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use crate::{
    problem::{Problem, echo},
    routes,
    state::AppState,
};

/// Which names this server answers to.
///
/// A page of another site can make its own name point at this machine (DNS rebinding) and then read our answers as
/// its own; but it cannot change the name its requests carry. So: loopback names, any address given as a number
/// (nobody can rebind those), and the names that were configured; nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    names: Vec<String>,
}

impl HostPolicy {
    /// The configured names, without ports; compared without case.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| name.trim_end_matches('.').to_lowercase()).collect() }
    }

    /// Whether `authority` (`name`, `name:port`, `[v6]:port`) is one of ours.
    #[must_use]
    pub fn allows(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        if IpAddr::from_str(&host).is_ok() {
            return true;
        }
        host == "localhost" || host.ends_with(".localhost") || self.names.contains(&host)
    }
}

/// The host of an authority, lower case, without brackets and the final dot; `None` if malformed.
fn host_of(authority: &str) -> Option<String> {
    if let Ok(address) = SocketAddr::from_str(authority) {
        return Some(address.ip().to_string());
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return (port_fits && IpAddr::from_str(host).is_ok()).then(|| host.to_lowercase());
    }
    let host = match authority.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return None,
        None => authority,
    };
    let host = host.trim_end_matches('.').to_lowercase();
    (!host.is_empty()).then_some(host)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Nothing inline, nothing from elsewhere; `blob:` is how players of segments feed `<video>`, and an empty track from
/// `data:` how hls.js switches native subtitles on.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    media-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a page of ours may do; everything else is no page and may do nothing.
pub(crate) fn page_policy() -> (HeaderName, HeaderValue) {
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY))
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; media-src 'self'; img-src 'self'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The outermost layer.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (started, metrics) = (Instant::now(), &state.0.metrics);
    // Only what we wrote ourselves becomes a label: the route's pattern, never the path.
    let route = routes::label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    metrics.in_flight.fetch_add(1, Ordering::Relaxed);
    let answer = AssertUnwindSafe(answer(&state, request, next)).catch_unwind().await;
    metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    let mut response = answer.unwrap_or_else(|_| {
        Problem::internal("a fault of the server: please report it with the log").into_response()
    });
    metrics.answered(route, response.status().as_u16(), started.elapsed());
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn answer(state: &AppState, request: Request, next: Next) -> Response {
    match authority(request.uri(), request.headers()) {
        None => Problem::bad_request("the request has no Host").into_response(),
        Some(authority) if !state.0.hosts.allows(authority) => {
            state.0.metrics.hosts_refused.fetch_add(1, Ordering::Relaxed);
            let detail = format!(
                "this server does not answer to the name \"{}\": add it to server.allowed_hosts if it is yours",
                echo(authority)
            );
            Problem::new(StatusCode::FORBIDDEN, "host_not_allowed", detail).into_response()
        }
        Some(authority) if !is_ours(request.method(), request.headers(), authority) => {
            let detail = "another site's page may not change anything here";
            Problem::new(StatusCode::FORBIDDEN, "cross_site", detail).into_response()
        }
        Some(_) => next.run(request).await,
    }
}

/// Whether a request that changes something comes from a page of ours, or from no page at all (cross-site request
/// forgery): browsers say where a page is from, in `Origin` or `Sec-Fetch-Site`; other clients say nothing.
fn is_ours(method: &Method, headers: &HeaderMap, authority: &str) -> bool {
    if method.is_safe() {
        return true;
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    match text(&header::ORIGIN) {
        None => true,
        Some(origin) => {
            origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(authority))
        }
    }
}

/// Of the request line where it is absolute, else of the one Host field.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let headers = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
            fields.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
        };
        let ours = |method, fields| is_ours(&method, &headers(fields), "localhost:8080");
        assert!(ours(Method::POST, &[]));
        assert!(ours(
            Method::POST,
            &[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]
        ));
        assert!(ours(Method::GET, &[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")]));
        for fields in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "http://localhost:9090")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")],
        ] {
            assert!(!ours(Method::POST, fields), "{fields:?}");
            assert!(!ours(Method::DELETE, fields), "{fields:?}");
        }
    }

    #[test]
    fn only_our_names_are_answered() {
        let policy = HostPolicy::new(["Films.Example.org".to_owned()]);
        for ours in [
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:8080",
            "192.168.1.5",
            "[::1]:8080",
            "[::1]",
            "[fe80::1]:80",
            "films.example.org",
            "FILMS.example.org:8080",
        ] {
            assert!(policy.allows(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "[evil]:80",
            "films.example.org.evil",
            "localhost:x",
            "localhost:1:2",
            "user@localhost",
            ":8080",
            "xlocalhost",
        ] {
            assert!(!policy.allows(other), "{other}");
        }
    }
}
