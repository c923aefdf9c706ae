//! The world: virtual time, the hosts and the links between them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use weir_link::{Counters, Direction, Schedule, Settings};
use weir_time::{Instant, Random, Utc, hash};

use super::network::Network;
use super::packet::PacketEvent;
use super::{DetachedTcp, SharedUdp, TcpListener, TcpStream, UdpSocket};
use crate::exec::{Clock, Executor, Timers};
use crate::host::Body;
use crate::{Host, UdpOptions};

/// Hosts and links in virtual time.
///
/// ```
/// use std::time::Duration;
/// use weir_link::Settings;
/// use weir_net::{DatagramBuffer, UdpOptions, sim::World};
///
/// let world = World::new(1);
/// let (near, far) = (world.host("near"), world.host("far"));
/// let delay = Settings { delay: Duration::from_millis(40), ..Settings::default() };
/// world.join(&near, &far, delay.clone(), delay).unwrap();
/// let address = std::net::SocketAddr::new(far.addresses()[0], 9);
/// let arrived = world.run(async move {
///     let to = far.udp_bind(address, &UdpOptions::default()).unwrap();
///     let from = near.udp_bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::default()).unwrap();
///     from.try_send(b"hello", address).unwrap();
///     let mut buffer = DatagramBuffer::new();
///     to.receive(&mut buffer).await.unwrap();
///     far.now().as_secs_f64()
/// });
/// assert_eq!(arrived, Some(0.040));
/// ```
pub struct World {
    state: Rc<WorldState>,
}

/// What the hosts of a world share.
pub(crate) struct WorldState {
    executor: Executor,
    now: Cell<Instant>,
    utc_at_zero: Utc,
    seed: u64,
    random: RefCell<Random>,
    pub(crate) network: RefCell<Network>,
}

/// The time of day at which every world begins: 2026-01-01T00:00:00Z.
const UTC_AT_ZERO: Utc = Utc::from_nanos(1_767_225_600_000_000_000);

impl World {
    /// An empty world in which all that is random follows from `seed`.
    pub fn new(seed: u64) -> Self {
        World {
            state: Rc::new(WorldState {
                executor: Executor::new(None),
                now: Cell::new(Instant::ZERO),
                utc_at_zero: UTC_AT_ZERO,
                seed,
                random: RefCell::new(Random::new(hash([
                    seed,
                    u64::from_le_bytes(*b"hosts\0\0\0"),
                ]))),
                network: RefCell::new(Network::new(seed)),
            }),
        }
    }

    /// Adds a host, known to the others by its name. The first has the address 10.0.0.1.
    pub fn host(&self, name: &str) -> Host {
        let id = self.state.network.borrow_mut().add_node(name);
        Host { body: Body::Sim(Node { world: Rc::clone(&self.state), id }) }
    }

    /// Joins two hosts of this world by a link: `up` is asked of packets from `a` to `b`, `down`
    /// of those from `b` to `a`. Hosts that are not neighbours reach each other over the fewest
    /// links.
    ///
    /// # Errors
    /// When the settings cannot be met.
    pub fn join(
        &self,
        a: &Host,
        b: &Host,
        up: Settings,
        down: Settings,
    ) -> Result<Link, weir_link::Error> {
        let mut network = self.state.network.borrow_mut();
        let (a, b) = (node(a).id, node(b).id);
        let up = network.add_pipe(a, b, Direction::Up, up)?;
        let down = network.add_pipe(b, a, Direction::Down, down)?;
        Ok(Link { world: Rc::clone(&self.state), up, down })
    }

    /// Runs the world until `future` is done and gives what it gives; `None` if it waits for
    /// something that can never happen.
    ///
    /// Tasks that hosts have spawned run meanwhile, and go on in the next `run`.
    pub fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Option<T> {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        self.state.executor.spawn(async move {
            let value = future.await;
            slot.replace(Some(value));
        });
        loop {
            while self.state.executor.run_ready() {}
            if let Some(value) = result.take() {
                return Some(value);
            }
            if !self.state.advance() {
                return None;
            }
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.state.now.get()
    }

    /// Datagrams that a host's full receive queues have dropped so far.
    pub fn datagrams_dropped(&self, host: &Host) -> u64 {
        self.state.network.borrow_mut().node(node(host).id).udp.dropped()
    }

    /// Packets for a host that it has dropped because links had changed a bit of them.
    pub fn corrupt_packets(&self, host: &Host) -> u64 {
        self.state.network.borrow().node_ref(node(host).id).corrupt_packets
    }

    /// Calls `watch` with every packet at the end of its way over a link, or at its loss.
    pub fn on_packet(&self, watch: impl FnMut(&PacketEvent<'_>) + 'static) {
        self.state.network.borrow_mut().watch(Box::new(watch));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold hosts, and hosts hold the world.
        self.state.executor.clear();
    }
}

impl WorldState {
    /// Goes to the next moment at which something happens; `false` if nothing ever does.
    fn advance(&self) -> bool {
        let timers = self.executor.timers.next_due();
        let packets = self.network.borrow().next_due();
        let Some(at) = [timers, packets].into_iter().flatten().min() else {
            return false;
        };
        let now = self.now.get().max(at);
        self.now.set(now);
        self.network.borrow_mut().advance(now);
        self.executor.timers.fire(now);
        true
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }
}

/// A link of a world.
pub struct Link {
    world: Rc<WorldState>,
    up: usize,
    down: usize,
}

impl Link {
    /// Changes what is asked of one direction, from now on.
    ///
    /// # Errors
    /// When the settings cannot be met; nothing has changed then.
    pub fn set(&self, direction: Direction, settings: Settings) -> Result<(), weir_link::Error> {
        let now = self.world.now();
        self.world.network.borrow_mut().set_pipe(now, self.pipe(direction), settings)
    }

    /// Follows a schedule in one direction from now on.
    pub fn follow(&self, direction: Direction, schedule: &Schedule) {
        let now = self.world.now();
        self.world.network.borrow_mut().follow_pipe(now, self.pipe(direction), schedule);
    }

    /// What has happened to packets in one direction.
    pub fn counters(&self, direction: Direction) -> Counters {
        self.world.network.borrow().pipe_counters(self.pipe(direction))
    }

    fn pipe(&self, direction: Direction) -> usize {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

impl Host {
    /// The addresses of a simulated host; none are known of a real one.
    pub fn addresses(&self) -> Vec<IpAddr> {
        match &self.body {
            Body::Os(_) => Vec::new(),
            Body::Sim(node) => vec![node.address()],
        }
    }
}

fn node(host: &Host) -> &Node {
    match &host.body {
        Body::Sim(node) => node,
        Body::Os(_) => panic!("a link of a simulated world joins simulated hosts"),
    }
}

/// A host's number in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

impl NodeId {
    /// Host `n` has the address 10.0.0.0 + n + 1.
    pub(crate) fn address(self) -> IpAddr {
        let number = u32::try_from(self.0 + 1).expect("a world has far fewer hosts than 2^24");
        IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number))
    }
}

/// One host of a world.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) world: Rc<WorldState>,
    pub(crate) id: NodeId,
}

impl Node {
    pub(crate) fn now(&self) -> Instant {
        self.world.now()
    }

    pub(crate) fn utc_now(&self) -> Utc {
        Utc::from_nanos(self.world.utc_at_zero.as_nanos() + self.now().as_nanos())
    }

    pub(crate) fn models(&self) -> Vec<(&'static str, String)> {
        vec![
            ("tcp", weir_proto::tcp::MODEL.to_owned()),
            ("udp", super::udp::MODEL.to_owned()),
            ("seed", self.world.seed.to_string()),
        ]
    }

    pub(crate) fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.world) as Rc<dyn Clock>
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.world.executor.spawn(future);
    }

    pub(crate) fn random_u64(&self) -> u64 {
        self.world.random.borrow_mut().next_u64()
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.id.address()
    }

    pub(crate) fn name(&self) -> String {
        self.world.network.borrow().node_name(self.id).to_owned()
    }

    pub(crate) fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match self.world.network.borrow().node_named(name) {
            Some(id) => Ok(vec![id.address()]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no host of this name")),
        }
    }

    pub(crate) fn tcp_listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(self, address)
    }

    pub(crate) async fn tcp_connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(self, address).await
    }

    pub(crate) fn attach_tcp(&self, detached: DetachedTcp) -> TcpStream {
        TcpStream::attach(self, detached)
    }

    pub(crate) fn udp_bind(
        &self,
        address: SocketAddr,
        options: &UdpOptions,
    ) -> io::Result<UdpSocket> {
        UdpSocket::bind(self, address, options)
    }

    pub(crate) fn attach_udp(&self, shared: &SharedUdp) -> UdpSocket {
        UdpSocket::attach(self, shared)
    }
}

impl Clock for WorldState {
    fn now(&self) -> Instant {
        self.now.get()
    }

    fn timers(&self) -> &Timers {
        &self.executor.timers
    }
}
