//! The host: one handle for everything that a program needs of its machine.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use weir_time::{Instant, Utc};

use crate::exec::{Clock, Timer};
use crate::file::File;
use crate::{DetachedTcp, SharedUdp, TcpListener, TcpOptions, TcpStream, UdpOptions, UdpSocket};
use crate::{os, sim};

/// A host: clock, tasks, sockets and files of one thread, real or simulated.
///
/// Cheap to clone; stays on its thread. What may cross to another thread says so
/// ([`ShardHandle`], [`DetachedTcp`], [`SharedUdp`], [`crate::Doorbell`]).
#[derive(Clone)]
pub struct Host {
    pub(crate) body: Body,
}

#[derive(Clone)]
pub(crate) enum Body {
    Os(Rc<os::Thread>),
    Sim(sim::Node),
}

impl Host {
    /// The time on this host's monotonic clock.
    pub fn now(&self) -> Instant {
        match &self.body {
            Body::Os(thread) => thread.now(),
            Body::Sim(node) => node.now(),
        }
    }

    /// The time of day.
    pub fn utc(&self) -> Utc {
        match &self.body {
            Body::Os(_) => os::utc_now(),
            Body::Sim(node) => node.utc_now(),
        }
    }

    /// Whether time is simulated.
    pub fn is_virtual(&self) -> bool {
        matches!(self.body, Body::Sim(_))
    }

    /// Names of the models that stand in for real parts, for the records: empty on the system.
    pub fn models(&self) -> Vec<(&'static str, String)> {
        match &self.body {
            Body::Os(_) => Vec::new(),
            Body::Sim(node) => node.models(),
        }
    }

    /// Sleeps until `at`.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        let clock: Rc<dyn Clock> = match &self.body {
            Body::Os(thread) => Rc::clone(thread) as Rc<dyn Clock>,
            Body::Sim(node) => node.clock(),
        };
        Sleep { timer: Timer { clock, at, id: None } }
    }

    /// Sleeps for `span`.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    /// Lets the other tasks of this thread run that are ready.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Starts a task on this host's thread.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        match &self.body {
            Body::Os(thread) => thread.executor.spawn(future),
            Body::Sim(node) => node.spawn(future),
        }
    }

    /// 64 random bits: from the system, where a peer must not guess them, or from the seed of
    /// the simulation.
    pub fn random_u64(&self) -> u64 {
        match &self.body {
            Body::Os(_) => os::random_u64(),
            Body::Sim(node) => node.random_u64(),
        }
    }

    /// The delivery shards, of which this host's thread may be one. Never empty.
    pub fn shards(&self) -> Vec<ShardHandle> {
        match &self.body {
            Body::Os(thread) => thread.shards(),
            Body::Sim(_) => vec![ShardHandle { body: ShardBody::Sim }],
        }
    }

    /// Runs `work` as a task on a shard. In a simulation the shard is this host itself.
    pub fn spawn_on<F>(&self, shard: &ShardHandle, work: impl FnOnce(Host) -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        match (&shard.body, &self.body) {
            (ShardBody::Os(remote), _) => remote.spawn(work),
            (ShardBody::Sim, Body::Sim(_)) => self.spawn(work(self.clone())),
            (ShardBody::Sim, Body::Os(_)) => {
                unreachable!("a simulated shard is handed out by simulated hosts alone")
            }
        }
    }

    /// Runs something that may block (file system, name lookup) away from this thread; in a
    /// simulation at once, in no virtual time.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match &self.body {
            Body::Os(thread) => thread.blocking(work).await,
            Body::Sim(_) => work(),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn open(&self, path: &Path) -> io::Result<File> {
        File::open(self, path).await
    }

    /// The addresses of a host name, or of an address in text form.
    ///
    /// # Errors
    /// `NotFound` when the name is not known.
    pub async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        match &self.body {
            Body::Os(thread) => {
                let name = name.to_owned();
                thread.blocking(move || os::resolve(&name)).await
            }
            Body::Sim(node) => node.resolve(name),
        }
    }

    /// Listens for TCP connections.
    ///
    /// # Errors
    /// `AddrInUse` when somebody has the port already.
    pub fn tcp_listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        match &self.body {
            Body::Os(thread) => os::TcpListener::bind(thread, address).map(TcpListener::os),
            Body::Sim(node) => node.tcp_listen(address).map(TcpListener::sim),
        }
    }

    /// Opens a TCP connection.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, and what else the network says.
    pub async fn tcp_connect(
        &self,
        address: SocketAddr,
        options: &TcpOptions,
    ) -> io::Result<TcpStream> {
        match &self.body {
            Body::Os(thread) => {
                os::TcpStream::connect(thread, address, options).await.map(TcpStream::os)
            }
            Body::Sim(node) => node.tcp_connect(address).await.map(TcpStream::sim),
        }
    }

    /// Takes over a connection that was accepted on another thread of the same program.
    ///
    /// # Errors
    /// When the system refuses to watch the socket.
    pub fn attach_tcp(&self, detached: DetachedTcp) -> io::Result<TcpStream> {
        TcpStream::attach(self, detached)
    }

    /// Binds a UDP socket.
    ///
    /// # Errors
    /// `AddrInUse` when somebody has the port already.
    pub fn udp_bind(&self, address: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        match &self.body {
            Body::Os(thread) => os::UdpSocket::bind(thread, address, options).map(UdpSocket::os),
            Body::Sim(node) => node.udp_bind(address, options).map(UdpSocket::sim),
        }
    }

    /// Binds a UDP socket to `address` and another one to the port behind it, as RTP and RTCP
    /// want them (RFC 3550 section 11). With port 0 the first port is any even one.
    ///
    /// # Errors
    /// When a port is taken or not allowed, or no free pair is found.
    pub fn udp_bind_pair(
        &self,
        address: SocketAddr,
        options: &UdpOptions,
    ) -> io::Result<(UdpSocket, UdpSocket)> {
        let bind = |port| self.udp_bind(SocketAddr::new(address.ip(), port), options);
        if address.port() != 0 {
            let next = address.port().checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
            return Ok((bind(address.port())?, bind(next)?));
        }
        let mut odd = Vec::new();
        for _ in 0..PAIR_TRIES {
            let first = bind(0)?;
            let port = first.local_address().port();
            if port % 2 == 0 && port < u16::MAX {
                match bind(port + 1) {
                    Ok(second) => return Ok((first, second)),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    Err(error) => return Err(error),
                }
            }
            // Kept until a pair is found, so that the system gives another one.
            odd.push(first);
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Uses a UDP socket that was bound on another thread of the same program.
    ///
    /// # Errors
    /// When the system refuses another descriptor.
    pub fn attach_udp(&self, shared: &SharedUdp) -> io::Result<UdpSocket> {
        UdpSocket::attach(self, shared)
    }

    /// Waits until the program is asked to end (Ctrl-C or SIGTERM). In a simulation: for ever.
    pub async fn shutdown_requested(&self) {
        match &self.body {
            Body::Os(thread) => thread.shutdown_requested().await,
            Body::Sim(_) => std::future::pending().await,
        }
    }
}

/// How often a free pair of ports is looked for: a port that the system gives is as often odd as
/// even, and the next one may be taken.
const PAIR_TRIES: usize = 64;

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Os(_) => f.write_str("Host(os)"),
            Body::Sim(node) => write!(f, "Host(sim {})", node.name()),
        }
    }
}

/// Reaches a delivery shard from any thread.
#[derive(Clone)]
pub struct ShardHandle {
    pub(crate) body: ShardBody,
}

#[derive(Clone)]
pub(crate) enum ShardBody {
    Os(os::Remote),
    Sim,
}

impl fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShardHandle")
    }
}

/// Waits for a moment on a host's clock; see [`Host::sleep_until`].
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    timer: Timer,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.timer).poll(cx)
    }
}
