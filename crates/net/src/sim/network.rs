//! Packets between simulated hosts: routes, links, and what happens next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use weir_link::{Counters, Direction, LinkId, Pipe, Schedule, Settings};
use weir_proto::tcp::Segment;
use weir_time::Instant;

use super::packet::{Body, Fate, Packet, PacketEvent};
use super::tcp::Tcp;
use super::udp::Ports;
use super::world::NodeId;

/// Called with each packet at the end of its way over a link.
pub(crate) type Watch = Box<dyn FnMut(&PacketEvent<'_>)>;

/// All hosts and links of a world.
pub(crate) struct Network {
    pub(crate) seed: u64,
    nodes: Vec<NodeState>,
    pipes: Vec<PipeState>,
    /// The pipe to take from a node (first index) to a node (second), worked out when needed.
    routes: Option<Vec<Vec<Option<usize>>>>,
    /// What happens when, each source at most once.
    schedule: BTreeSet<(Instant, Source)>,
    /// Packets from a node to itself.
    local: VecDeque<(NodeId, Packet)>,
    watch: Option<Watch>,
    pub(crate) tcp: Tcp,
}

/// What can happen by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Local,
    Pipe(usize),
    Tcp(u64),
}

pub(crate) struct NodeState {
    name: String,
    pub(crate) udp: Ports,
    next_port: u16,
    /// Packets whose checksum was wrong: links had changed a bit of them.
    pub(crate) corrupt_packets: u64,
}

struct PipeState {
    pipe: Pipe<Packet>,
    from: NodeId,
    to: NodeId,
    due: Option<Instant>,
    /// Packets inside by their index, kept only while the world is watched.
    watched: BTreeMap<u64, Packet>,
    offered: u64,
}

/// The first port that is given out to who asks for any (RFC 6335 section 6).
const PORT_DYNAMIC_FIRST: u16 = 49_152;

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Network {
            seed,
            nodes: Vec::new(),
            pipes: Vec::new(),
            routes: None,
            schedule: BTreeSet::new(),
            local: VecDeque::new(),
            watch: None,
            tcp: Tcp::default(),
        }
    }

    pub(crate) fn add_node(&mut self, name: &str) -> NodeId {
        self.routes = None;
        self.nodes.push(NodeState {
            name: name.to_owned(),
            udp: Ports::default(),
            next_port: PORT_DYNAMIC_FIRST,
            corrupt_packets: 0,
        });
        NodeId(self.nodes.len() - 1)
    }

    pub(crate) fn add_pipe(
        &mut self,
        from: NodeId,
        to: NodeId,
        direction: Direction,
        settings: Settings,
    ) -> Result<usize, weir_link::Error> {
        self.routes = None;
        // The two pipes of one link are added one behind the other.
        let link = LinkId((self.pipes.len() / 2) as u64);
        let mut pipe = Pipe::new(self.seed, link, direction, settings)?;
        if self.watch.is_some() {
            pipe.observe(PASSAGES_MAX);
        }
        let watched = BTreeMap::new();
        self.pipes.push(PipeState { pipe, from, to, due: None, watched, offered: 0 });
        Ok(self.pipes.len() - 1)
    }

    pub(crate) fn set_pipe(
        &mut self,
        now: Instant,
        index: usize,
        settings: Settings,
    ) -> Result<(), weir_link::Error> {
        self.pipes[index].pipe.set(now, settings)?;
        self.reschedule_pipe(index);
        Ok(())
    }

    pub(crate) fn follow_pipe(&mut self, now: Instant, index: usize, schedule: &Schedule) {
        self.pipes[index].pipe.follow(now, schedule);
        self.reschedule_pipe(index);
    }

    pub(crate) fn pipe_counters(&self, index: usize) -> Counters {
        *self.pipes[index].pipe.counters()
    }

    pub(crate) fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
        for state in &mut self.pipes {
            state.pipe.observe(PASSAGES_MAX);
        }
    }

    pub(crate) fn node(&mut self, id: NodeId) -> &mut NodeState {
        &mut self.nodes[id.0]
    }

    pub(crate) fn node_ref(&self, id: NodeId) -> &NodeState {
        &self.nodes[id.0]
    }

    pub(crate) fn node_name(&self, id: NodeId) -> &str {
        &self.nodes[id.0].name
    }

    pub(crate) fn node_named(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name).map(NodeId)
    }

    /// When something happens next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.schedule.first().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some(&(at, source)) = self.schedule.first()
            && at <= now
        {
            self.schedule.pop_first();
            match source {
                Source::Local => {
                    while let Some((node, packet)) = self.local.pop_front() {
                        self.arrive(now, node, packet);
                    }
                }
                Source::Pipe(index) => self.advance_pipe(now, index),
                Source::Tcp(connection) => self.tcp_timer(now, connection),
            }
        }
    }

    /// Sends a packet from a node on its way.
    pub(crate) fn transmit(&mut self, now: Instant, from: NodeId, mut packet: Packet) {
        if packet.to.ip().is_loopback() {
            packet.to.set_ip(from.address());
        }
        if packet.to.ip() == from.address() {
            self.local.push_back((from, packet));
            self.schedule.insert((now, Source::Local));
            return;
        }
        let Some(to) = self.node_at(packet.to) else {
            return;
        };
        let Some(index) = self.route(from, to) else {
            return;
        };
        let state = &mut self.pipes[index];
        if self.watch.is_some() {
            state.watched.insert(state.offered, packet.clone());
        }
        state.offered += 1;
        // A refusal is counted by the pipe, and shown to whoever watches by `report`.
        let _ = state.pipe.offer(now, packet.ip_bytes(), packet);
        self.report(index);
        self.reschedule_pipe(index);
    }

    fn advance_pipe(&mut self, now: Instant, index: usize) {
        self.pipes[index].due = None;
        let to = self.pipes[index].to;
        while let Some(mut delivery) = self.pipes[index].pipe.poll(now) {
            delivery.payload.corrupt |= delivery.corrupt.is_some();
            if let Some(watch) = &mut self.watch {
                self.pipes[index].watched.remove(&delivery.index);
                watch(&delivery.payload.event(delivery.at, Fate::Delivered));
            }
            self.arrive(now, to, delivery.payload);
        }
        self.report(index);
        self.reschedule_pipe(index);
    }

    /// Shows the packets that were lost on a pipe.
    fn report(&mut self, index: usize) {
        let Some(watch) = &mut self.watch else { return };
        let state = &mut self.pipes[index];
        while let Some(passage) = state.pipe.take_passage() {
            if let weir_link::Fate::Dropped(reason) = passage.fate
                && let Some(packet) = state.watched.remove(&passage.index)
            {
                let at = passage.left_queue.unwrap_or(passage.entered);
                watch(&packet.event(at, Fate::Dropped(reason)));
            }
        }
    }

    fn reschedule_pipe(&mut self, index: usize) {
        let state = &mut self.pipes[index];
        let due = state.pipe.next_timeout();
        if due != state.due {
            if let Some(old) = state.due {
                self.schedule.remove(&(old, Source::Pipe(index)));
            }
            state.due = due;
            if let Some(at) = due {
                self.schedule.insert((at, Source::Pipe(index)));
            }
        }
    }

    /// Moves a connection's timer.
    pub(crate) fn reschedule_tcp(
        &mut self,
        connection: u64,
        old: Option<Instant>,
        new: Option<Instant>,
    ) {
        if old != new {
            if let Some(at) = old {
                self.schedule.remove(&(at, Source::Tcp(connection)));
            }
            if let Some(at) = new {
                self.schedule.insert((at, Source::Tcp(connection)));
            }
        }
    }

    fn arrive(&mut self, now: Instant, node: NodeId, packet: Packet) {
        if packet.to.ip() != node.address() {
            self.transmit(now, node, packet);
            return;
        }
        let Packet { from, to, body, corrupt } = packet;
        if corrupt {
            // Its checksum is wrong (RFC 768, RFC 9293 section 3.1): nobody gets it.
            self.nodes[node.0].corrupt_packets += 1;
            return;
        }
        match body {
            Body::Udp(data) => self.nodes[node.0].udp.arrive(now, from, to.port(), data),
            Body::Tcp(segment) => self.tcp_arrive(now, node, from, to, segment),
        }
    }

    /// Sends a segment of a connection.
    pub(crate) fn transmit_segment(
        &mut self,
        now: Instant,
        node: NodeId,
        from: SocketAddr,
        to: SocketAddr,
        segment: Segment,
    ) {
        self.transmit(now, node, Packet { from, to, body: Body::Tcp(segment), corrupt: false });
    }

    /// A port of a node that `taken` does not know.
    pub(crate) fn free_port(&mut self, node: NodeId, taken: impl Fn(&Self, u16) -> bool) -> u16 {
        for _ in PORT_DYNAMIC_FIRST..u16::MAX {
            let port = self.nodes[node.0].next_port;
            self.nodes[node.0].next_port = port.checked_add(1).unwrap_or(PORT_DYNAMIC_FIRST);
            if !taken(self, port) {
                return port;
            }
        }
        PORT_DYNAMIC_FIRST
    }

    fn node_at(&self, address: SocketAddr) -> Option<NodeId> {
        (0..self.nodes.len()).map(NodeId).find(|node| node.address() == address.ip())
    }

    fn route(&mut self, from: NodeId, to: NodeId) -> Option<usize> {
        if self.routes.is_none() {
            self.routes =
                Some((0..self.nodes.len()).map(|n| self.routes_from(NodeId(n))).collect());
        }
        self.routes.as_ref()?.get(from.0)?.get(to.0).copied()?
    }

    /// The first pipe on the shortest way to each node: breadth first, in order of creation.
    fn routes_from(&self, from: NodeId) -> Vec<Option<usize>> {
        let mut first = vec![None; self.nodes.len()];
        let mut frontier = VecDeque::from([(from, None)]);
        while let Some((at, via)) = frontier.pop_front() {
            for (index, state) in self.pipes.iter().enumerate() {
                if state.from == at && state.to != from && first[state.to.0].is_none() {
                    let way = via.unwrap_or(index);
                    first[state.to.0] = Some(way);
                    frontier.push_back((state.to, Some(way)));
                }
            }
        }
        first
    }
}

/// Records of a pipe that may wait to be shown; they are taken after each step.
const PASSAGES_MAX: usize = 1 << 20;
