//! UPnP's Internet Gateway Device (UDA 1.1, WANIPConnection 1 and 2): found by SSDP, asked by SOAP.
//!
//! Whoever in the local network says it is a router is believed no further than this: it is asked at the address it answered from,
//! for a few kilobytes, for a port of ours.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Protocol, Want};
use crate::egress::{Egress, unspecified};

/// Where routers are called.
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1900);

/// How long routers may take to answer the call; they spread their answers over a second (`MX: 1`).
const SEARCH_WAIT: Duration = Duration::from_secs(3);

/// Answers looked at.
const ANSWERS_MAX: usize = 32;

/// Bytes of a description or an answer.
const BODY_BYTES_MAX: usize = 256 << 10;

/// For a description or an answer.
const HTTP_WAIT: Duration = Duration::from_secs(5);

/// What is called for: routers answer to one of them.
const TARGETS: [&str; 3] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "upnp:rootdevice",
];

/// Services that map ports, as their names go on after `urn:schemas-upnp-org:service:`.
const SERVICES: [&str; 3] = ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"];

/// Only mappings without an end are granted (WANIPConnection 1, 2.4.16).
const ONLY_PERMANENT: u16 = 725;

/// The service of a router that maps ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    addr: SocketAddr,
    path: String,
    service: String,
}

impl Gateway {
    /// Looks for a router.
    ///
    /// # Errors
    /// When there is none that maps ports.
    pub(super) async fn find(egress: &Egress) -> io::Result<Self> {
        let socket = egress.bind_udp(unspecified(GROUP.ip()))?;
        for target in TARGETS {
            let call = format!(
                "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {target}\r\n\r\n"
            );
            socket.send_to(call.as_bytes(), GROUP).await?;
        }
        let until = Instant::now() + SEARCH_WAIT;
        let mut buffer = [0; 2_048];
        let mut seen = Vec::new();
        for _ in 0..ANSWERS_MAX {
            let Ok(received) = timeout_at(until, socket.recv_from(&mut buffer)).await else { break };
            let (length, from) = received?;
            let Some((addr, path)) = location(&buffer[..length], from.ip()) else { continue };
            if seen.contains(&(addr, path.clone())) {
                continue;
            }
            seen.push((addr, path.clone()));
            let described = http(egress, addr, Request::get(&path), String::new()).await;
            if let Ok((_, description)) = described
                && let Some((service, path)) = control(&description, addr)
            {
                return Ok(Self { addr, path, service });
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no router that maps ports"))
    }

    /// Asks for a port; for ever where nothing shorter is granted.
    ///
    /// # Errors
    /// When it refuses, or is not there any more.
    pub(super) async fn map(
        &self,
        egress: &Egress,
        want: Want,
        external: u16,
        lifetime: Duration,
    ) -> io::Result<()> {
        let own = self.own_ip(egress).await?;
        for seconds in [lifetime.as_secs(), 0] {
            let arguments = format!(
                "<NewRemoteHost></NewRemoteHost><NewExternalPort>{external}</NewExternalPort><NewProtocol>{}</NewProtocol>\
                 <NewInternalPort>{}</NewInternalPort><NewInternalClient>{own}</NewInternalClient><NewEnabled>1</NewEnabled>\
                 <NewPortMappingDescription>Headwater</NewPortMappingDescription><NewLeaseDuration>{seconds}</NewLeaseDuration>",
                want.protocol.name(),
                want.port
            );
            match self.act(egress, "AddPortMapping", &arguments).await? {
                None => return Ok(()),
                Some(ONLY_PERMANENT) if seconds > 0 => {}
                Some(code) => return Err(io::Error::other(format!("the router refuses: code {code}"))),
            }
        }
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a port back.
    pub(super) async fn unmap(&self, egress: &Egress, want: Want, external: u16) -> io::Result<()> {
        let arguments = format!(
            "<NewRemoteHost></NewRemoteHost><NewExternalPort>{external}</NewExternalPort><NewProtocol>{}</NewProtocol>",
            want.protocol.name()
        );
        self.act(egress, "DeletePortMapping", &arguments).await.map(drop)
    }

    /// Our address as the router sees it.
    async fn own_ip(&self, egress: &Egress) -> io::Result<IpAddr> {
        let socket = egress.bind_udp(unspecified(self.addr.ip()))?;
        socket.connect(self.addr).await?;
        Ok(socket.local_addr()?.ip())
    }

    /// Calls an action; the code of its refusal, if it refuses.
    async fn act(&self, egress: &Egress, action: &str, arguments: &str) -> io::Result<Option<u16>> {
        let service = &self.service;
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} xmlns:u=\"{service}\">{arguments}\
             </u:{action}></s:Body></s:Envelope>\r\n"
        );
        let request = Request::post(&self.path)
            .header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .header("SOAPAction", format!("\"{service}#{action}\""));
        let (status, answer) = http(egress, self.addr, request, body).await?;
        if status.is_success() {
            return Ok(None);
        }
        let code = element(&answer, "errorCode").and_then(|code| code.trim().parse().ok());
        Ok(Some(code.unwrap_or_else(|| status.as_u16())))
    }
}

/// One request to the router, and its answer as text.
async fn http(
    egress: &Egress,
    addr: SocketAddr,
    request: hyper::http::request::Builder,
    body: String,
) -> io::Result<(hyper::StatusCode, String)> {
    let request = request
        .header(header::HOST, addr.to_string())
        .header(header::USER_AGENT, crate::CLIENT)
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let exchange = async {
        let stream = egress.connect_tcp(addr).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let asking = async {
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::pin!(asking);
        tokio::select! {
            answer = &mut asking => answer,
            // The connection may end with the answer, and before it is looked at.
            _ = connection => asking.await,
        }
    };
    timeout(HTTP_WAIT, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Where an answer to the call says its description is: at the address it came from, or nowhere.
fn location(answer: &[u8], from: IpAddr) -> Option<(SocketAddr, String)> {
    let text = std::str::from_utf8(answer).ok()?;
    let mut lines = text.split("\r\n");
    if !lines.next()?.starts_with("HTTP/1.1 200") {
        return None;
    }
    let (_, place) = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("location"))?;
    address(place.trim(), from)
}

/// The address and path of `url`, if it is plain HTTP at `host`.
fn address(url: &str, host: IpAddr) -> Option<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let addr: SocketAddr = match authority.parse() {
        Ok(addr) => addr,
        Err(_) => SocketAddr::new(authority.parse().ok()?, 80),
    };
    let fits = path.bytes().all(|byte| byte.is_ascii_graphic()) && path.len() <= 1_024;
    (addr.ip() == host && fits).then(|| (addr, path.to_owned()))
}

/// The service that maps ports and the path it is asked at, in a router's description.
fn control(description: &str, addr: SocketAddr) -> Option<(String, String)> {
    for wanted in SERVICES {
        for service in description.split("<service>").skip(1) {
            let service = service.split("</service>").next().unwrap_or_default();
            let kind = element(service, "serviceType").map(str::trim).unwrap_or_default();
            if kind.strip_prefix("urn:schemas-upnp-org:service:") != Some(wanted) {
                continue;
            }
            let place = element(service, "controlURL")?.trim();
            let path = match place {
                place if place.starts_with("http://") => address(place, addr.ip())?.1,
                place if place.starts_with('/') => place.to_owned(),
                place => format!("/{place}"),
            };
            let fits = path.bytes().all(|byte| byte.is_ascii_graphic()) && path.len() <= 1_024;
            return fits.then(|| (kind.to_owned(), path));
        }
    }
    None
}

/// The text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));

    #[test]
    fn a_description_is_fetched_only_from_where_the_answer_came() {
        let answer = |place: &str| format!("HTTP/1.1 200 OK\r\nST: x\r\nLocation: {place}\r\n\r\n");
        let at = |place: &str| {
            location(answer(place).as_bytes(), ROUTER).map(|(addr, path)| format!("{addr}{path}"))
        };
        assert_eq!(
            at("http://192.168.1.1:5000/rootDesc.xml").as_deref(),
            Some("192.168.1.1:5000/rootDesc.xml")
        );
        assert_eq!(at("http://192.168.1.1").as_deref(), Some("192.168.1.1:80/"));
        for place in
            ["http://192.168.1.2/x", "https://192.168.1.1/", "http://router/", "http://192.168.1.1/a b", "x"]
        {
            assert_eq!(at(place), None, "{place}");
        }
        assert_eq!(location(b"NOTIFY * HTTP/1.1\r\nLocation: http://192.168.1.1/\r\n", ROUTER), None);
    }

    #[test]
    fn the_service_is_found_among_others() {
        let description = "<root><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>\
            <controlURL>/ctl/L3F</controlURL></service></serviceList><deviceList><device><serviceList><service>\
            <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><SCPDURL>/WANIPCn.xml</SCPDURL>\
            <controlURL>/ctl/IPConn</controlURL></service></serviceList></device></deviceList></device></root>";
        let addr = SocketAddr::new(ROUTER, 5_000);
        let found = control(description, addr).unwrap();
        assert_eq!(found, ("urn:schemas-upnp-org:service:WANIPConnection:1".into(), "/ctl/IPConn".into()));
        let elsewhere = description.replace("/ctl/IPConn", "http://10.0.0.1/ctl");
        assert_eq!(control(&elsewhere, addr), None);
        assert_eq!(control("<service><serviceType>urn:x</serviceType>", addr), None);
    }
}
