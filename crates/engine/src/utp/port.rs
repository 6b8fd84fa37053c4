//! The UDP port that uTP goes over: a socket of the egress, made again when the way out changes, comes or goes.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use librqbit_dualstack_sockets::PollSendToVectored;
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;

use crate::egress::{Egress, Standing};

/// What the kernel may hold for us while we are busy; it grants what it allows.
const RECEIVE_BYTES: usize = 4 << 20;

/// After a socket that cannot receive, before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// After a port that the socket before still held, before it is tried again; and how often.
const REBIND_AFTER: Duration = Duration::from_millis(10);
const REBINDS_MAX: usize = 50;

/// A port, whatever socket it has at the moment.
pub(super) struct Port {
    shared: Arc<Shared>,
}

struct Shared {
    addr: SocketAddr,
    /// None while the setting names a way that is closed: the socket before leads another way.
    socket: RwLock<Option<Arc<UdpSocket>>>,
    /// There is another socket.
    replaced: Notify,
    /// Who waits to send: a socket remembers one alone.
    senders: Mutex<Vec<Waker>>,
    /// Somebody waits to send.
    full: Notify,
}

impl Port {
    /// Opens it on `addr`, until `end`.
    pub(super) fn open(egress: &Egress, addr: SocketAddr, end: &CancellationToken) -> io::Result<Self> {
        let standing = egress.watch();
        let socket = bind(egress, addr)?;
        let shared = Arc::new(Shared {
            addr: socket.local_addr()?,
            socket: RwLock::new(Some(Arc::new(socket))),
            replaced: Notify::new(),
            senders: Mutex::default(),
            full: Notify::new(),
        });
        tokio::spawn(end.clone().run_until_cancelled_owned(keep(egress.clone(), standing, shared.clone())));
        tokio::spawn(end.clone().run_until_cancelled_owned(wake(shared.clone())));
        Ok(Self { shared })
    }
}

fn bind(egress: &Egress, addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = egress.bind_udp(addr)?;
    // A smaller buffer loses packets, which are sent again.
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BYTES);
    Ok(socket)
}

/// Makes the socket again when those made before are of no use any more.
async fn keep(egress: Egress, mut standing: watch::Receiver<Standing>, shared: Arc<Shared>) {
    let Standing { mut generation, mut epoch, .. } = *standing.borrow_and_update();
    while standing.changed().await.is_ok() {
        let now = standing.borrow_and_update().clone();
        if now.epoch != epoch {
            epoch = now.epoch;
            shared.replace(None);
        }
        if now.generation == generation || now.blocked.is_some() {
            continue;
        }
        generation = now.generation;
        let mut bound = bind(&egress, shared.addr);
        for _ in 0..REBINDS_MAX {
            // Who received by the one before has to let go of it: it holds the port.
            if !bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
            tokio::time::sleep(REBIND_AFTER).await;
            bound = bind(&egress, shared.addr);
        }
        match bound {
            Ok(socket) => shared.replace(Some(socket)),
            // It fails closed: what there was is bound to what is gone.
            Err(error) => tracing::info!(addr = %shared.addr, %error, "no uTP"),
        }
    }
}

/// Wakes who waits to send when the socket takes more.
async fn wake(shared: Arc<Shared>) {
    loop {
        shared.full.notified().await;
        if let Some(socket) = shared.socket() {
            // A socket that fails says so to who sends.
            let _ = socket.writable().await;
        }
        for waker in std::mem::take(&mut *shared.senders()) {
            waker.wake();
        }
    }
}

impl Shared {
    fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.socket.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, socket: Option<UdpSocket>) {
        *self.socket.write().unwrap_or_else(PoisonError::into_inner) = socket.map(Arc::new);
        self.replaced.notify_waiters();
        // Who waits for the old one to take more would wait for ever.
        for waker in std::mem::take(&mut *self.senders()) {
            waker.wake();
        }
    }

    fn senders(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&UdpSocket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.socket() else { return Poll::Ready(Err(io::ErrorKind::NetworkDown.into())) };
        match socket.try_io(Interest::WRITABLE, || send(&socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut senders = self.senders();
                if !senders.iter().any(|waker| waker.will_wake(cx.waker())) {
                    senders.push(cx.waker().clone());
                }
                self.full.notify_one();
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }
}

impl PollSendToVectored for Port {
    fn poll_send_to_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let target = target.into();
        self.shared.send(cx, |socket| SockRef::from(socket).send_to_vectored(bufs, &target))
    }
}

impl librqbit_utp::Transport for Port {
    /// Never fails: the protocol would end with its first error, and a socket that cannot receive is replaced once it can.
    async fn recv_from<'a>(&'a self, buf: &'a mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let replaced = self.shared.replaced.notified();
            let Some(socket) = self.shared.socket() else {
                replaced.await;
                continue;
            };
            tokio::select! {
                received = socket.recv_from(buf) => match received {
                    Ok(received) => return Ok(received),
                    Err(error) => {
                        tracing::trace!(%error, "uTP");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                () = replaced => {}
            }
        }
    }

    async fn send_to<'a>(&'a self, buf: &'a [u8], target: SocketAddr) -> io::Result<usize> {
        match self.shared.socket() {
            Some(socket) => socket.send_to(buf, target).await,
            None => Err(io::ErrorKind::NetworkDown.into()),
        }
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        let address = target.into();
        self.shared.send(cx, |socket| SockRef::from(socket).send_to(buf, &address))
    }

    fn bind_addr(&self) -> SocketAddr {
        self.shared.addr
    }
}
