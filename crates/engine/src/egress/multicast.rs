//! Sockets of a multicast group, one for each interface that packets may leave by.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Type};
use tokio::net::UdpSocket;

use super::{Egress, sockets::Way, sockets::blocked};

/// Interfaces used, at most: a host of many containers has hundreds, and no peers there.
const INTERFACES_MAX: usize = 16;

/// Where Linux lists its interfaces.
const INTERFACES: &str = "/sys/class/net";

const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const MULTICAST: u32 = 0x1000;

impl Egress {
    /// A socket of `group` for each interface: the one that is bound, or all of the house's; loopback alone with `loopback`.
    ///
    /// # Errors
    /// Why there is none at all.
    pub(crate) fn bind_multicast(&self, group: SocketAddr, loopback: bool) -> io::Result<Vec<UdpSocket>> {
        self.direct().map_err(blocked)?;
        let names = match self.interface() {
            Some(name) => vec![name],
            None => interfaces(loopback),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no interface for multicast");
        let mut sockets = Vec::new();
        for name in names.into_iter().take(INTERFACES_MAX) {
            match member(&name, group, loopback) {
                Ok(socket) => sockets.push(socket),
                Err(error) => last = error,
            }
        }
        if sockets.is_empty() { Err(last) } else { Ok(sockets) }
    }
}

/// The interfaces that are up and carry multicast; or only loopback.
fn interfaces(loopback: bool) -> Vec<String> {
    let names = fs::read_dir(INTERFACES).into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| {
            let flags = fs::read_to_string(entry.path().join("flags")).ok()?;
            let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
            let wanted = if loopback { LOOPBACK | UP } else { MULTICAST | UP };
            let fits = flags & wanted == wanted && (loopback || flags & LOOPBACK == 0);
            entry.file_name().into_string().ok().filter(|_| fits)
        })
        .collect();
    names.sort_unstable();
    names
}

fn member(name: &str, group: SocketAddr, loopback: bool) -> io::Result<UdpSocket> {
    let way = Way { interface: Some(name.to_owned()), ..Way::default() };
    let socket = way.socket(Domain::for_address(group), Type::DGRAM, Protocol::UDP)?;
    let index = rustix::net::netdevice::name_to_index(&socket, name)?;
    // Other programs of this host are in the group too.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // To the group's address: nothing else is heard.
    socket.bind(&group.into())?;
    match group.ip() {
        IpAddr::V4(ip) => {
            socket.join_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(index))?;
            if loopback {
                // Linux would send from another interface's address, where nobody listens.
                socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
            }
        }
        IpAddr::V6(ip) => {
            socket.join_multicast_v6(&ip, index)?;
            socket.set_multicast_if_v6(index)?;
        }
    }
    UdpSocket::from_std(socket.into())
}
