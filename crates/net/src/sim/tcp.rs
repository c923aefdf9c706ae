//! TCP of simulated hosts: drives the sans-IO TCP of `weir-proto`.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use weir_proto::tcp::{Connection, Event, Output, Segment, Settings};
use weir_time::{Instant, hash};

use super::network::Network;
use super::udp::local_address;
use super::world::{Node, NodeId, WorldState};
use crate::{Doorbell, TcpOptions};

/// All connections and listeners of a world.
#[derive(Default)]
pub(crate) struct Tcp {
    connections: BTreeMap<u64, Entry>,
    /// By this side's address, then the peer's.
    by_address: BTreeMap<(SocketAddr, SocketAddr), u64>,
    listeners: BTreeMap<SocketAddr, Listener>,
    next_id: u64,
}

struct Entry {
    node: NodeId,
    local: SocketAddr,
    remote: SocketAddr,
    connection: Connection,
    due: Option<Instant>,
    connected: bool,
    peer_finished: bool,
    failed: Option<io::ErrorKind>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    bell: Option<(Doorbell, u64)>,
    /// A write found no room; whoever wrote waits to be told.
    blocked: bool,
    /// No handle is left: it goes when the connection has ended.
    released: bool,
}

struct Listener {
    waiting: VecDeque<u64>,
    waker: Option<Waker>,
}

/// Connections that wait to be accepted; further ones are refused.
const BACKLOG_MAX: usize = 1024;

impl Network {
    pub(crate) fn tcp_arrive(
        &mut self,
        now: Instant,
        node: NodeId,
        from: SocketAddr,
        to: SocketAddr,
        segment: Segment,
    ) {
        if let Some(&id) = self.tcp.by_address.get(&(to, from)) {
            if let Some(entry) = self.tcp.connections.get_mut(&id) {
                entry.connection.handle(now, segment);
            }
            self.tcp_pump(now, id);
            return;
        }
        let room = self.tcp.listeners.get(&to).is_some_and(|l| l.waiting.len() < BACKLOG_MAX);
        if room && segment.flags.syn && !segment.flags.ack {
            let seed = self.tcp_seed();
            let connection = Connection::accept(now, seed, Settings::default(), &segment);
            let id = self.tcp_add(node, to, from, connection);
            self.tcp_pump(now, id);
        } else if let Some(refusal) = segment.refusal() {
            self.transmit_segment(now, node, to, from, refusal);
        }
    }

    pub(crate) fn tcp_timer(&mut self, now: Instant, id: u64) {
        if let Some(entry) = self.tcp.connections.get_mut(&id) {
            entry.due = None;
            entry.connection.timer(now);
            self.tcp_pump(now, id);
        }
    }

    /// Sends what a connection has to send and tells its owner what happened.
    fn tcp_pump(&mut self, now: Instant, id: u64) {
        while let Some(entry) = self.tcp.connections.get_mut(&id) {
            match entry.connection.poll(now) {
                Output::Send(segment) => {
                    let (node, local, remote) = (entry.node, entry.local, entry.remote);
                    self.transmit_segment(now, node, local, remote, segment);
                }
                Output::Event(event) => self.tcp_event(id, event),
                Output::Timeout(at) => {
                    let old = std::mem::replace(&mut entry.due, at);
                    self.reschedule_tcp(id, old, at);
                    break;
                }
            }
        }
        let connection = self.tcp.connections.get(&id);
        if connection.is_some_and(|entry| entry.released && entry.connection.is_closed()) {
            self.tcp_remove(id);
        }
    }

    fn tcp_event(&mut self, id: u64, event: Event) {
        let Some(entry) = self.tcp.connections.get_mut(&id) else {
            return;
        };
        match event {
            Event::Connected => {
                entry.connected = true;
                wake(&mut entry.writer);
                let local = entry.local;
                if let Some(listener) = self.tcp.listeners.get_mut(&local)
                    && !entry.released
                {
                    listener.waiting.push_back(id);
                    wake(&mut listener.waker);
                }
            }
            Event::Writable => return entry.wake_writer(),
            Event::PeerFinished => entry.peer_finished = true,
            Event::Reset if entry.connected => entry.failed = Some(io::ErrorKind::ConnectionReset),
            Event::Reset => entry.failed = Some(io::ErrorKind::ConnectionRefused),
            Event::TimedOut => entry.failed = Some(io::ErrorKind::TimedOut),
            _ => {}
        }
        entry.wake_all();
    }

    fn tcp_add(
        &mut self,
        node: NodeId,
        local: SocketAddr,
        remote: SocketAddr,
        connection: Connection,
    ) -> u64 {
        let id = self.tcp.next_id;
        self.tcp.next_id += 1;
        self.tcp.by_address.insert((local, remote), id);
        let entry = Entry {
            node,
            local,
            remote,
            connection,
            due: None,
            connected: false,
            peer_finished: false,
            failed: None,
            reader: None,
            writer: None,
            bell: None,
            blocked: false,
            released: false,
        };
        self.tcp.connections.insert(id, entry);
        id
    }

    fn tcp_remove(&mut self, id: u64) {
        if let Some(entry) = self.tcp.connections.remove(&id) {
            self.reschedule_tcp(id, entry.due, None);
            self.tcp.by_address.remove(&(entry.local, entry.remote));
        }
    }

    /// The last handle of a connection is gone.
    fn tcp_release(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.tcp.connections.get_mut(&id) else {
            return;
        };
        entry.released = true;
        entry.connection.close();
        self.tcp_pump(now, id);
    }

    fn tcp_seed(&self) -> u64 {
        hash([self.seed, u64::from_le_bytes(*b"tcp\0\0\0\0\0"), self.tcp.next_id])
    }

    fn tcp_port_taken(&self, node: NodeId, port: u16) -> bool {
        let local = SocketAddr::new(node.address(), port);
        self.tcp.listeners.contains_key(&local)
            || self.tcp.by_address.keys().any(|(address, _)| *address == local)
    }
}

impl Entry {
    fn wake_all(&mut self) {
        wake(&mut self.reader);
        if self.failed.is_some() {
            self.blocked = true;
            self.wake_writer();
        }
    }

    /// Tells whoever waits that there is room to write, or that writing fails.
    fn wake_writer(&mut self) {
        wake(&mut self.writer);
        if std::mem::take(&mut self.blocked)
            && let Some((bell, key)) = &self.bell
        {
            bell.ring(*key);
        }
    }

    /// Bytes that a write may take now.
    fn room(&self) -> usize {
        self.connection.send_space()
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Listens on a port of a simulated host.
pub(crate) struct TcpListener {
    world: Rc<WorldState>,
    local: SocketAddr,
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TcpListener({})", self.local)
    }
}

impl TcpListener {
    pub(crate) fn bind(node: &Node, address: SocketAddr) -> io::Result<Self> {
        let mut local = local_address(node, address)?;
        let mut network = node.world.network.borrow_mut();
        if local.port() == 0 {
            let port =
                network.free_port(node.id, |network, port| network.tcp_port_taken(node.id, port));
            local.set_port(port);
        }
        if network.tcp.listeners.contains_key(&local) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        network.tcp.listeners.insert(local, Listener { waiting: VecDeque::new(), waker: None });
        Ok(TcpListener { world: Rc::clone(&node.world), local })
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn accept(&self) -> io::Result<(DetachedTcp, SocketAddr)> {
        poll_fn(|cx| {
            let mut network = self.world.network.borrow_mut();
            let tcp = &mut network.tcp;
            let Some(listener) = tcp.listeners.get_mut(&self.local) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let Some(id) = listener.waiting.pop_front() else {
                listener.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let Some(entry) = tcp.connections.get(&id) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            Poll::Ready(Ok((DetachedTcp { id }, entry.remote)))
        })
        .await
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let now = self.world.now();
        let mut network = self.world.network.borrow_mut();
        let listener = network.tcp.listeners.remove(&self.local);
        for id in listener.into_iter().flat_map(|listener| listener.waiting) {
            network.tcp_release(now, id);
        }
    }
}

/// A connection that no host holds yet.
#[derive(Debug)]
pub(crate) struct DetachedTcp {
    id: u64,
}

/// A connection of a simulated host.
pub(crate) struct TcpStream {
    world: Rc<WorldState>,
    id: u64,
    local: SocketAddr,
    remote: SocketAddr,
}

impl TcpStream {
    pub(crate) async fn connect(node: &Node, remote: SocketAddr) -> io::Result<Self> {
        let stream = {
            let now = node.now();
            let mut network = node.world.network.borrow_mut();
            let port =
                network.free_port(node.id, |network, port| network.tcp_port_taken(node.id, port));
            let local = SocketAddr::new(node.address(), port);
            let mut remote = remote;
            if remote.ip().is_loopback() {
                remote.set_ip(node.address());
            }
            let connection = Connection::connect(now, network.tcp_seed(), Settings::default());
            let id = network.tcp_add(node.id, local, remote, connection);
            network.tcp_pump(now, id);
            TcpStream { world: Rc::clone(&node.world), id, local, remote }
        };
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    pub(crate) fn attach(node: &Node, detached: DetachedTcp) -> Self {
        let network = node.world.network.borrow();
        let (local, remote) = network
            .tcp
            .connections
            .get(&detached.id)
            .map(|entry| (entry.local, entry.remote))
            .expect("a connection stays until its handle is dropped");
        TcpStream { world: Rc::clone(&node.world), id: detached.id, local, remote }
    }

    fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|entry| {
            if let Some(kind) = entry.failed {
                return Poll::Ready(Err(kind.into()));
            }
            if entry.connected {
                return Poll::Ready(Ok(()));
            }
            entry.writer = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    pub(crate) fn set_options(&self, options: &TcpOptions) -> io::Result<()> {
        self.with(|entry| {
            if let Some(bytes) = options.not_sent_low_water_bytes {
                entry.connection.set_not_sent_low_water(bytes as usize);
            }
        });
        Ok(())
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.remote
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(READ_BYTES);
        }
        let data = poll_fn(|cx| self.poll_read(cx, buffer.capacity() - buffer.len())).await?;
        buffer.extend_from_slice(&data);
        Ok(data.len())
    }

    pub(crate) async fn read_with<T>(
        &self,
        scratch: &RefCell<Box<[u8]>>,
        take: &mut impl FnMut(&[u8]) -> T,
    ) -> io::Result<T> {
        let bytes_max = scratch.borrow().len();
        let data = poll_fn(|cx| self.poll_read(cx, bytes_max)).await?;
        Ok(take(&data))
    }

    /// The next bytes; none once the peer has finished.
    fn poll_read(&self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<io::Result<Bytes>> {
        let read = self.with(|entry| {
            if let Some(data) = entry.connection.recv(bytes_max) {
                return Poll::Ready(Ok(data));
            }
            if let Some(kind) = entry.failed {
                return Poll::Ready(Err(kind.into()));
            }
            if entry.peer_finished {
                return Poll::Ready(Ok(Bytes::new()));
            }
            entry.reader = Some(cx.waker().clone());
            Poll::Pending
        });
        if read.is_ready() {
            // Room in the receive buffer is news for the peer.
            self.pump();
        }
        read
    }

    pub(crate) fn try_write(&self, slices: &[&[u8]]) -> io::Result<usize> {
        let taken = self.with(|entry| {
            if let Some(kind) = entry.failed {
                return Err(io::Error::from(kind));
            }
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            let room = entry.room().min(total);
            if room < total {
                entry.blocked = true;
            }
            if room == 0 && total > 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut data = BytesMut::with_capacity(room);
            for slice in slices {
                data.extend_from_slice(&slice[..slice.len().min(room - data.len())]);
            }
            Ok(entry.connection.send(data.freeze()))
        })?;
        self.pump();
        Ok(taken)
    }

    pub(crate) async fn writable(&self) {
        poll_fn(|cx| {
            self.with(|entry| {
                if !entry.blocked || entry.failed.is_some() {
                    return Poll::Ready(());
                }
                entry.writer = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }

    pub(crate) fn ring_when_writable(&self, bell: &Doorbell, key: u64) {
        self.with(|entry| entry.bell = Some((bell.clone(), key)));
    }

    pub(crate) fn unacknowledged_bytes(&self) -> Option<u64> {
        Some(self.with(|entry| entry.connection.unacknowledged_bytes() as u64))
    }

    pub(crate) fn shutdown(&self) {
        self.with(|entry| entry.connection.shutdown());
        self.pump();
    }

    fn pump(&self) {
        self.world.network.borrow_mut().tcp_pump(self.world.now(), self.id);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Entry) -> T) -> T {
        let mut network = self.world.network.borrow_mut();
        let entry = network.tcp.connections.get_mut(&self.id);
        act(entry.expect("a connection stays until its handle is dropped"))
    }
}

/// What a read takes at most when its buffer has no room of its own.
const READ_BYTES: usize = 4_096;

impl Drop for TcpStream {
    fn drop(&mut self) {
        let now = self.world.now();
        self.world.network.borrow_mut().tcp_release(now, self.id);
    }
}
