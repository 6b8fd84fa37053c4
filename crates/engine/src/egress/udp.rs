//! Datagrams to and from one address of a UDP tracker, directly or through the proxy's relay.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    Egress, PROXY_WAIT,
    socks::{self, Destination},
    unspecified,
};

/// The longest head of a relayed datagram: to a name.
const HEAD_BYTES_MAX: usize = 3 + 1 + 1 + 255 + 2;

/// A socket that hears only from where it sends to.
#[derive(Debug)]
pub(crate) enum UdpLink {
    Direct(UdpSocket),
    Relayed {
        /// The relay ends with it.
        _control: TcpStream,
        socket: UdpSocket,
        head: Vec<u8>,
    },
}

impl Egress {
    /// Datagrams to `to`; a name is for proxies alone.
    pub(crate) async fn udp_link(&self, to: &Destination) -> io::Result<UdpLink> {
        let way = self.way();
        let Some(proxy) = &way.proxy else {
            let Destination::Address(addr) = to else { return Err(io::ErrorKind::Unsupported.into()) };
            let socket = way.bind_udp(unspecified(addr.ip()))?;
            socket.connect(addr).await?;
            return Ok(UdpLink::Direct(socket));
        };
        let mut control = self.connect_proxy(&way).await?;
        let proxy_ip: IpAddr = control.peer_addr()?.ip();
        let asking = timeout(PROXY_WAIT, socks::associate(&mut control, proxy, proxy_ip)).await;
        let relay = asking
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| io::Error::new(error.kind(), format!("{error}: no UDP")))?;
        let ip = if relay.ip().is_unspecified() { proxy_ip } else { relay.ip() };
        let socket = way.bind_udp(unspecified(ip))?;
        socket.connect(SocketAddr::new(ip, relay.port())).await?;
        Ok(UdpLink::Relayed { _control: control, socket, head: socks::datagram_head(to) })
    }
}

impl UdpLink {
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(socket) => socket.send(datagram).await?,
            Self::Relayed { socket, head, .. } => socket.send(&[head, datagram].concat()).await?,
        };
        Ok(())
    }

    /// The next datagram, of at most `bytes_max`.
    pub(crate) async fn receive(&self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; bytes_max + HEAD_BYTES_MAX];
        loop {
            match self {
                Self::Direct(socket) => {
                    let length = socket.recv(&mut buffer).await?;
                    buffer.truncate(length);
                    return Ok(buffer);
                }
                Self::Relayed { socket, .. } => {
                    let length = socket.recv(&mut buffer).await?;
                    if let Some(payload) = socks::datagram_payload(&buffer[..length]) {
                        return Ok(payload.to_vec());
                    }
                }
            }
        }
    }
}
