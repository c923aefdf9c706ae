//! TCP in both worlds.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;

use crate::host::Body;
use crate::{Doorbell, File, Host, os, sim};

/// What is asked of a TCP socket. The default is the system's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Send small messages at once (TCP_NODELAY).
    pub no_delay: bool,
    /// The socket counts as full while more than this many bytes have not been sent
    /// (TCP_NOTSENT_LOWAT), so that little of a stream hides in the kernel.
    pub not_sent_low_water_bytes: Option<u32>,
    /// Congestion control by its kernel name, such as `cubic` (TCP_CONGESTION).
    pub congestion: Option<String>,
}

/// Accepts TCP connections.
#[derive(Debug)]
pub struct TcpListener {
    body: ListenerBody,
}

#[derive(Debug)]
enum ListenerBody {
    Os(os::TcpListener),
    Sim(sim::TcpListener),
}

impl TcpListener {
    pub(crate) fn os(listener: os::TcpListener) -> Self {
        TcpListener { body: ListenerBody::Os(listener) }
    }

    pub(crate) fn sim(listener: sim::TcpListener) -> Self {
        TcpListener { body: ListenerBody::Sim(listener) }
    }

    /// The next connection, ready to be attached to any shard ([`Host::attach_tcp`]).
    ///
    /// # Errors
    /// What the system says, running out of descriptors among it; the listener stays usable.
    pub async fn accept(&self) -> io::Result<(DetachedTcp, SocketAddr)> {
        match &self.body {
            ListenerBody::Os(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((DetachedTcp { body: DetachedBody::Os(stream) }, peer))
            }
            ListenerBody::Sim(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((DetachedTcp { body: DetachedBody::Sim(stream) }, peer))
            }
        }
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn local_address(&self) -> SocketAddr {
        match &self.body {
            ListenerBody::Os(listener) => listener.local_address(),
            ListenerBody::Sim(listener) => listener.local_address(),
        }
    }
}

/// Memory for reads that the connections of one thread share.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) bytes: RefCell<Box<[u8]>>,
}

impl Scratch {
    /// Room for `len` bytes, at least one.
    pub fn new(len: usize) -> Self {
        Scratch { bytes: RefCell::new(vec![0; len.max(1)].into_boxed_slice()) }
    }
}

/// A TCP connection between hosts: it may cross to another thread and be attached there.
#[derive(Debug)]
pub struct DetachedTcp {
    body: DetachedBody,
}

#[derive(Debug)]
enum DetachedBody {
    Os(std::os::fd::OwnedFd),
    Sim(sim::DetachedTcp),
}

/// A TCP connection. Closed when dropped.
pub struct TcpStream {
    pub(crate) body: StreamBody,
}

pub(crate) enum StreamBody {
    Os(os::TcpStream),
    Sim(sim::TcpStream),
}

impl TcpStream {
    pub(crate) fn os(stream: os::TcpStream) -> Self {
        TcpStream { body: StreamBody::Os(stream) }
    }

    pub(crate) fn sim(stream: sim::TcpStream) -> Self {
        TcpStream { body: StreamBody::Sim(stream) }
    }

    pub(crate) fn attach(host: &Host, detached: DetachedTcp) -> io::Result<Self> {
        match (&host.body, detached.body) {
            (Body::Os(thread), DetachedBody::Os(fd)) => {
                os::TcpStream::attach(thread, fd).map(TcpStream::os)
            }
            (Body::Sim(node), DetachedBody::Sim(detached)) => {
                Ok(TcpStream::sim(node.attach_tcp(detached)))
            }
            _ => Err(io::Error::other("a socket of the other world")),
        }
    }

    /// Sets what is asked of the socket.
    ///
    /// # Errors
    /// When the system does not know an option, such as an unknown congestion control.
    pub fn set_options(&self, options: &TcpOptions) -> io::Result<()> {
        match &self.body {
            StreamBody::Os(stream) => stream.set_options(options),
            StreamBody::Sim(stream) => stream.set_options(options),
        }
    }

    /// The peer's address.
    pub fn peer_address(&self) -> SocketAddr {
        match &self.body {
            StreamBody::Os(stream) => stream.peer_address(),
            StreamBody::Sim(stream) => stream.peer_address(),
        }
    }

    /// This side's address.
    pub fn local_address(&self) -> SocketAddr {
        match &self.body {
            StreamBody::Os(stream) => stream.local_address(),
            StreamBody::Sim(stream) => stream.local_address(),
        }
    }

    /// Waits for bytes and appends them to `buffer`, at most as many as its spare capacity
    /// holds (4,096 are reserved when there is none). Zero says that the peer has finished.
    ///
    /// # Errors
    /// `ConnectionReset` and what else ended the connection.
    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &self.body {
            StreamBody::Os(stream) => stream.read(buffer).await,
            StreamBody::Sim(stream) => stream.read(buffer).await,
        }
    }

    /// Waits for bytes and gives them to `take`; none say that the peer has finished.
    ///
    /// Many connections of one thread share `scratch`, so that one which waits holds no buffer.
    ///
    /// # Errors
    /// `ConnectionReset` and what else ended the connection.
    pub async fn read_with<T>(
        &self,
        scratch: &Scratch,
        take: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let mut take = Some(take);
        let mut take = |data: &[u8]| (take.take().expect("a read gives bytes once"))(data);
        match &self.body {
            StreamBody::Os(stream) => stream.read_with(&scratch.bytes, &mut take).await,
            StreamBody::Sim(stream) => stream.read_with(&scratch.bytes, &mut take).await,
        }
    }

    /// Writes as much as the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; what ended the connection otherwise.
    pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match &self.body {
            StreamBody::Os(stream) => stream.try_write(&[data]),
            StreamBody::Sim(stream) => stream.try_write(&[data]),
        }
    }

    /// Writes all of `data`, waiting as often as needed.
    ///
    /// # Errors
    /// What ended the connection.
    pub async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.try_write(data) {
                Ok(written) => data = &data[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes as much of several pieces, in their order, as the socket takes now; of more than
    /// eight pieces it takes none behind the eighth.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; what ended the connection otherwise.
    pub fn try_write_vectored(&self, slices: &[&[u8]]) -> io::Result<usize> {
        match &self.body {
            StreamBody::Os(stream) => stream.try_write(slices),
            StreamBody::Sim(stream) => stream.try_write(&slices[..slices.len().min(8)]),
        }
    }

    /// Sends as much of `bytes` bytes of a file, from `offset` on, as the socket takes now; zero
    /// says that the file ends before. On the system the bytes never enter this program
    /// (sendfile): where they are not in memory, it waits for the disk, so that
    /// [`File::prefetch`] comes first.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; what ended the connection otherwise, or what went wrong
    /// with the file.
    pub fn try_send_file(&self, file: &File, offset: u64, bytes: usize) -> io::Result<usize> {
        match &self.body {
            StreamBody::Os(stream) => stream.try_send_file(file.raw_fd(), offset, bytes),
            StreamBody::Sim(stream) => {
                let data = file.read_at_blocking(offset, bytes.min(SIM_FILE_BYTES))?;
                if data.is_empty() { Ok(0) } else { stream.try_write(&[&data]) }
            }
        }
    }

    /// Waits until the socket may take more, after it was full.
    pub async fn writable(&self) {
        match &self.body {
            StreamBody::Os(stream) => stream.writable().await,
            StreamBody::Sim(stream) => stream.writable().await,
        }
    }

    /// Rings `bell` with `key` each time the socket can take more after it was full. Replaces
    /// what [`TcpStream::writable`] waits for.
    pub fn ring_when_writable(&self, bell: &Doorbell, key: u64) {
        match &self.body {
            StreamBody::Os(stream) => stream.ring_when_writable(bell, key),
            StreamBody::Sim(stream) => stream.ring_when_writable(bell, key),
        }
    }

    /// Bytes that were written and that the peer has not acknowledged; `None` where the system
    /// does not say.
    pub fn unacknowledged_bytes(&self) -> Option<u64> {
        match &self.body {
            StreamBody::Os(stream) => stream.unacknowledged_bytes(),
            StreamBody::Sim(stream) => stream.unacknowledged_bytes(),
        }
    }

    /// Says that nothing more will be written (half close).
    pub fn shutdown(&self) {
        match &self.body {
            StreamBody::Os(stream) => stream.shutdown(),
            StreamBody::Sim(stream) => stream.shutdown(),
        }
    }
}

/// What a simulated host reads of a file at once.
const SIM_FILE_BYTES: usize = 64 * 1024;

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpStream({} -> {})", self.local_address(), self.peer_address())
    }
}
