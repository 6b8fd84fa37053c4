//! NAT-PMP (RFC 6886) and its successor PCP (RFC 6887): one datagram asks the gateway for a port, one answers.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use super::{Protocol, Want};
use crate::egress::{Egress, unspecified};

/// Where gateways listen.
const PORT: u16 = 5351;

/// The first wait for an answer, doubled each time (RFC 6886, 3.1), and how often it is asked.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const ATTEMPTS: u32 = 4;

const PCP_VERSION: u8 = 2;
const PCP_MAP: u8 = 1;
const PCP_BYTES: usize = 60;
const NAT_PMP_BYTES: usize = 16;
const ANSWER: u8 = 0x80;

/// What a gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Pcp,
    NatPmp,
}

/// What a gateway granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) port: u16,
    pub(super) lifetime: Duration,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Granted(Granted),
    /// It speaks another version.
    Version,
    /// It refuses, with its code.
    Refused(u16),
}

/// A gateway that may speak either.
#[derive(Debug)]
pub(super) struct Gateway {
    socket: UdpSocket,
    own: IpAddr,
    dialect: Dialect,
    /// Makes a mapping ours (PCP).
    nonce: [u8; 12],
}

impl Gateway {
    /// The gateway at `ip`; nothing is sent yet.
    pub(super) async fn new(egress: &Egress, ip: Ipv4Addr, nonce: [u8; 12]) -> io::Result<Self> {
        let socket = egress.bind_udp(unspecified(ip.into()))?;
        socket.connect(SocketAddr::new(ip.into(), PORT)).await?;
        let own = socket.local_addr()?.ip();
        Ok(Self { socket, own, dialect: Dialect::Pcp, nonce })
    }

    /// How it is called.
    pub(super) fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Pcp => "PCP",
            Dialect::NatPmp => "NAT-PMP",
        }
    }

    /// Asks for a port for `lifetime`, which 0 gives back.
    ///
    /// # Errors
    /// When nobody answers, or it refuses.
    pub(super) async fn map(&mut self, want: Want, external: u16, lifetime: Duration) -> io::Result<Granted> {
        loop {
            let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
            let asked = match self.dialect {
                Dialect::Pcp => pcp(want, external, seconds, self.own, &self.nonce).to_vec(),
                Dialect::NatPmp => nat_pmp(want, external, seconds).to_vec(),
            };
            match (self.ask(&asked, want).await?, self.dialect) {
                (Said::Granted(granted), _) => return Ok(granted),
                (Said::Version, Dialect::Pcp) => self.dialect = Dialect::NatPmp,
                (Said::Version, Dialect::NatPmp) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, "another version"));
                }
                (Said::Refused(code), _) => {
                    return Err(io::Error::other(format!("{} refuses: code {code}", self.name())));
                }
            }
        }
    }

    async fn ask(&self, asked: &[u8], want: Want) -> io::Result<Said> {
        let mut buffer = [0; 1_100];
        for attempt in 0..ATTEMPTS {
            self.socket.send(asked).await?;
            let wait = WAIT_FIRST * 2u32.pow(attempt);
            let answer = timeout(wait, async {
                // Datagrams that answer something else are not waited on for ever: there is the timeout.
                loop {
                    let length = self.socket.recv(&mut buffer).await?;
                    if let Some(said) = read(&buffer[..length], want, &self.nonce) {
                        return Ok(said);
                    }
                }
            });
            match answer.await {
                Ok(said) => return said,
                Err(_) => continue,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A MAP request (RFC 6887, 7.1 and 11.1).
fn pcp(want: Want, external: u16, seconds: u32, own: IpAddr, nonce: &[u8; 12]) -> [u8; PCP_BYTES] {
    let mut out = [0; PCP_BYTES];
    (out[0], out[1]) = (PCP_VERSION, PCP_MAP);
    out[4..8].copy_from_slice(&seconds.to_be_bytes());
    out[8..24].copy_from_slice(&mapped(own));
    out[24..36].copy_from_slice(nonce);
    out[36] = match want.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    out[40..42].copy_from_slice(&want.port.to_be_bytes());
    out[42..44].copy_from_slice(&external.to_be_bytes());
    out[44..60].copy_from_slice(&mapped(Ipv4Addr::UNSPECIFIED.into()));
    out
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn operation(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Udp => 1,
        Protocol::Tcp => 2,
    }
}

/// A mapping request (RFC 6886, 3.3).
fn nat_pmp(want: Want, external: u16, seconds: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[1] = operation(want.protocol);
    out[4..6].copy_from_slice(&want.port.to_be_bytes());
    // Giving back names no outer port.
    let external = if seconds == 0 { 0 } else { external };
    out[6..8].copy_from_slice(&external.to_be_bytes());
    out[8..12].copy_from_slice(&seconds.to_be_bytes());
    out
}

/// Reads an answer to `want`; `None` when it answers something else.
fn read(answer: &[u8], want: Want, nonce: &[u8; 12]) -> Option<Said> {
    let u16_at = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_be_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    let granted = |port: u16, seconds: u32| {
        Said::Granted(Granted { port, lifetime: Duration::from_secs(seconds.into()) })
    };
    match (*answer.first()?, *answer.get(1)?) {
        (0, operation_given) if operation_given & ANSWER != 0 => match u16_at(2)? {
            // Also how a gateway of NAT-PMP answers PCP.
            1 => Some(Said::Version),
            0 if answer.len() >= NAT_PMP_BYTES => {
                let ours = operation_given == ANSWER | operation(want.protocol) && u16_at(8)? == want.port;
                ours.then(|| Some(granted(u16_at(10)?, u32_at(12)?)))?
            }
            0 => None,
            code => Some(Said::Refused(code)),
        },
        (PCP_VERSION, operation_given) if operation_given == ANSWER | PCP_MAP => match *answer.get(3)? {
            1 => Some(Said::Version),
            0 if answer.len() >= PCP_BYTES => {
                let ours = &answer[24..36] == nonce && u16_at(40)? == want.port;
                ours.then(|| Some(granted(u16_at(42)?, u32_at(4)?)))?
            }
            0 => None,
            code => Some(Said::Refused(code.into())),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Want = Want { protocol: Protocol::Tcp, port: 6_881 };
    const NONCE: [u8; 12] = [7; 12];

    #[test]
    fn requests_are_laid_out_as_the_rfcs_say() {
        assert_eq!(nat_pmp(TCP, 6_881, 3_600), [0, 2, 0, 0, 0x1a, 0xe1, 0x1a, 0xe1, 0, 0, 0x0e, 0x10]);
        assert_eq!(nat_pmp(TCP, 6_881, 0)[6..], [0; 6]);
        let pcp = pcp(TCP, 6_881, 3_600, IpAddr::from([192, 168, 1, 2]), &NONCE);
        assert_eq!(pcp[..8], [2, 1, 0, 0, 0, 0, 0x0e, 0x10]);
        assert_eq!(pcp[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2]);
        assert_eq!(pcp[36..44], [6, 0, 0, 0, 0x1a, 0xe1, 0x1a, 0xe1]);
    }

    #[test]
    fn answers_are_read_and_those_to_others_are_not() {
        let mut answer = [0, 0x82, 0, 0, 0, 0, 0, 9, 0x1a, 0xe1, 0x30, 0x39, 0, 0, 0x0e, 0x10];
        let granted = Said::Granted(Granted { port: 12_345, lifetime: Duration::from_secs(3_600) });
        assert_eq!(read(&answer, TCP, &NONCE), Some(granted));
        assert_eq!(read(&answer, Want { port: 1, ..TCP }, &NONCE), None);
        assert_eq!(read(&answer, Want { protocol: Protocol::Udp, ..TCP }, &NONCE), None);
        answer[3] = 2;
        assert_eq!(read(&answer, TCP, &NONCE), Some(Said::Refused(2)));
        assert_eq!(read(&[0, 0x81, 0, 1, 0, 0, 0, 0], TCP, &NONCE), Some(Said::Version));
        let mut pcp = pcp(TCP, 12_345, 3_600, IpAddr::from([0, 0, 0, 0]), &NONCE);
        (pcp[1], pcp[3]) = (0x81, 0);
        assert_eq!(read(&pcp, TCP, &NONCE), Some(granted));
        assert_eq!(read(&pcp, TCP, &[8; 12]), None);
        for end in 0..pcp.len() {
            assert_eq!(read(&pcp[..end], TCP, &NONCE), None);
        }
    }
}
