//! UDP of simulated hosts.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};
use weir_time::Instant;

use super::network::Network;
use super::packet::{Body, Packet};
use super::world::{Node, NodeId, WorldState};
use crate::{DatagramBuffer, UdpOptions};

/// What a record calls this model.
pub(crate) const MODEL: &str = "udp/1 (92 datagrams of receive queue unless asked, no offload)";

/// Datagrams that an ordinary Linux receiver keeps: its default buffer of 212,992 bytes, in
/// which a datagram of about 1,400 bytes counts 2,304.
const RECEIVE_QUEUE_DATAGRAMS: usize = 92;
const DATAGRAM_COST_BYTES: usize = 2_304;

/// The bound ports of one host.
#[derive(Default)]
pub(crate) struct Ports {
    bound: BTreeMap<u16, Port>,
    dropped: u64,
}

struct Port {
    queue: VecDeque<Arrived>,
    queue_max: usize,
    waker: Option<Waker>,
    handles: usize,
}

struct Arrived {
    from: SocketAddr,
    at: Instant,
    data: Bytes,
}

impl Ports {
    pub(crate) fn arrive(&mut self, at: Instant, from: SocketAddr, port: u16, data: Bytes) {
        let Some(port) = self.bound.get_mut(&port) else {
            return;
        };
        if port.queue.len() >= port.queue_max {
            self.dropped += 1;
            return;
        }
        port.queue.push_back(Arrived { from, at, data });
        if let Some(waker) = port.waker.take() {
            waker.wake();
        }
    }

    /// Datagrams that full queues have dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn release(&mut self, number: u16) {
        if let Some(port) = self.bound.get_mut(&number) {
            port.handles -= 1;
            if port.handles == 0 {
                self.bound.remove(&number);
            }
        }
    }
}

/// A bound UDP port of a simulated host.
pub(crate) struct UdpSocket {
    world: Rc<WorldState>,
    node: NodeId,
    local: SocketAddr,
}

/// Names a bound port, for another handle on the same host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedUdp {
    local: SocketAddr,
}

impl UdpSocket {
    pub(crate) fn bind(node: &Node, address: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let local = local_address(node, address)?;
        let mut network = node.world.network.borrow_mut();
        let port = match local.port() {
            0 => network.free_port(node.id, |network, port| network.udp_bound(node.id, port)),
            port if network.udp_bound(node.id, port) => return Err(io::ErrorKind::AddrInUse.into()),
            port => port,
        };
        let queue_max = options
            .receive_buffer_bytes
            .map_or(RECEIVE_QUEUE_DATAGRAMS, |bytes| 2 * bytes as usize / DATAGRAM_COST_BYTES)
            .max(1);
        let empty = Port { queue: VecDeque::new(), queue_max, waker: None, handles: 1 };
        network.node(node.id).udp.bound.insert(port, empty);
        let local = SocketAddr::new(node.address(), port);
        Ok(UdpSocket { world: Rc::clone(&node.world), node: node.id, local })
    }

    pub(crate) fn attach(node: &Node, shared: &SharedUdp) -> Self {
        let mut network = node.world.network.borrow_mut();
        if let Some(port) = network.node(node.id).udp.bound.get_mut(&shared.local.port()) {
            port.handles += 1;
        }
        UdpSocket { world: Rc::clone(&node.world), node: node.id, local: shared.local }
    }

    pub(crate) fn share(&self) -> SharedUdp {
        SharedUdp { local: self.local }
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn receive(&self, buffer: &mut DatagramBuffer) -> io::Result<()> {
        poll_fn(|cx| {
            let mut network = self.world.network.borrow_mut();
            let Some(port) = network.node(self.node).udp.bound.get_mut(&self.local.port()) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let Some(arrived) = port.queue.pop_front() else {
                port.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            buffer.len = arrived.data.len();
            buffer.segment = arrived.data.len();
            buffer.bytes[..buffer.len].copy_from_slice(&arrived.data);
            buffer.from = arrived.from;
            buffer.at = arrived.at;
            Poll::Ready(Ok(()))
        })
        .await
    }

    pub(crate) fn try_send(&self, data: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_train(&[data], to, data.len()).map(drop)
    }

    /// Sends datagrams of `segment_len` bytes, the last of which may be shorter.
    pub(crate) fn send_train(
        &self,
        slices: &[&[u8]],
        to: SocketAddr,
        segment_len: usize,
    ) -> io::Result<usize> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        let mut train = BytesMut::with_capacity(total);
        for slice in slices {
            train.extend_from_slice(slice);
        }
        let mut train = train.freeze();
        let segment_len = segment_len.max(1);
        if total.min(segment_len) > DATAGRAM_BYTES_MAX {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let now = self.world.now();
        let mut network = self.world.network.borrow_mut();
        loop {
            let data = train.split_to(segment_len.min(train.len()));
            network.transmit(
                now,
                self.node,
                Packet { from: self.local, to, body: Body::Udp(data), corrupt: false },
            );
            if train.is_empty() {
                return Ok(total);
            }
        }
    }
}

/// The largest payload of a datagram over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.world.network.borrow_mut().node(self.node).udp.release(self.local.port());
    }
}

impl Network {
    fn udp_bound(&self, node: NodeId, port: u16) -> bool {
        self.node_ref(node).udp.bound.contains_key(&port)
    }
}

/// The address to bind: the host's own, or any.
pub(crate) fn local_address(node: &Node, address: SocketAddr) -> io::Result<SocketAddr> {
    let own = match address.ip() {
        IpAddr::V4(ip) => {
            ip.is_unspecified() || ip.is_loopback() || IpAddr::V4(ip) == node.address()
        }
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_loopback(),
    };
    if own {
        Ok(SocketAddr::new(node.address(), address.port()))
    } else {
        Err(io::ErrorKind::AddrNotAvailable.into())
    }
}
