//! Datagrams: a socket to the target for each client, and the way over the link between.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_link::Direction;
use weir_time::Instant;

use super::batch::{Arrival, Letter, MESSAGES_MAX, Outbox, Receiver, Way};
use super::packet::{Ends, Load, Packet};
use super::slab::{Key, Slab};
use super::socket::{any_port, fitting, plain, udp_bound};
use super::{Context, Totals, token};
use crate::links::LinkIndex;
use crate::wait::Interest;

/// All datagrams of a driver.
pub(super) struct Udp {
    idle_max: Duration,
    flows_max: usize,
    receiver: Receiver,
    outbox: Outbox,
    listeners: Vec<Listener>,
    pub(super) ports: Slab<Port>,
    pub(super) flows: Slab<Flow>,
}

/// What was taken at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Single datagrams, and trains that the kernel merged.
    pub(super) arrivals: usize,
    pub(super) datagrams: usize,
}

/// Where clients send to.
struct Listener {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    target: SocketAddr,
    link: LinkIndex,
    by_client: BTreeMap<SocketAddr, Key>,
    /// The client of the datagram before, who is most often that of the next.
    last: Option<(SocketAddr, Key)>,
    told: Told,
}

/// What was said once already.
#[derive(Debug, Default)]
struct Told {
    unreachable: bool,
    refused: bool,
    full: bool,
}

/// A socket of this side.
pub(super) struct Port {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) role: Role,
    /// Datagrams that the kernel has dropped, as of the last arrival.
    dropped: u32,
}

/// Who sends to a socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// All clients of a listener.
    Clients(usize),
    /// The client of one flow of media.
    Client(Key),
    /// The target of one flow.
    Target(Key),
}

/// One client and the target.
pub(super) struct Flow {
    link: LinkIndex,
    /// The listener that it came through; media flows have none.
    listener: Option<usize>,
    client: SocketAddr,
    ends: Arc<Ends>,
    /// To the target; absent until its port is known.
    up: Option<Arc<Way>>,
    down: Arc<Way>,
    /// Sockets of this flow alone.
    ports: Vec<Key>,
    /// Who may send from the target's side, where the socket is not connected.
    pub(super) target_ip: Option<IpAddr>,
    active: Instant,
}

impl Udp {
    pub(super) fn new(idle_max: Duration, flows_max: usize) -> Self {
        Udp {
            idle_max,
            flows_max,
            receiver: Receiver::new(),
            outbox: Outbox::new(),
            listeners: Vec::new(),
            ports: Slab::new(),
            flows: Slab::new(),
        }
    }

    /// One more relay.
    pub(super) fn listen(&mut self, socket: UdpSocket, target: SocketAddr, link: LinkIndex) -> Key {
        let number = self.listeners.len();
        let local = socket.local_addr().unwrap_or(any_port(target.ip()));
        let socket = Arc::new(socket);
        let port = Port { socket: Arc::clone(&socket), role: Role::Clients(number), dropped: 0 };
        self.listeners.push(Listener {
            socket,
            local,
            target,
            link,
            by_client: BTreeMap::new(),
            last: None,
            told: Told::default(),
        });
        self.ports.insert_with(|_| port)
    }

    /// Takes what has come to a socket.
    pub(super) fn receive(&mut self, port: Key, cx: &mut Context<'_>) -> Taken {
        let mut taken = Taken::default();
        let Some(Port { socket, role, .. }) = self.ports.get(port) else { return taken };
        let (socket, role) = (Arc::clone(socket), *role);
        for _ in 0..ROUNDS_MAX {
            let count = match self.receiver.receive(&socket, cx.clock) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.note_refusal(role, &error);
                    continue;
                }
            };
            for index in 0..count {
                let Some(arrival) = self.receiver.arrival(index) else { continue };
                taken.arrivals += 1;
                taken.datagrams += self.take(port, role, arrival, cx);
            }
            if count < MESSAGES_MAX {
                break;
            }
        }
        taken
    }

    fn take(&mut self, port: Key, role: Role, arrival: Arrival, cx: &mut Context<'_>) -> usize {
        if let Some(dropped) = arrival.dropped
            && let Some(port) = self.ports.get_mut(port)
        {
            cx.totals.dropped_receiving += u64::from(dropped.wrapping_sub(port.dropped));
            port.dropped = dropped;
        }
        let at = arrival.at.max(cx.offered_at);
        let count = arrival.bytes.len().div_ceil(arrival.segment).max(1);
        let (key, direction) = match role {
            Role::Clients(listener) => {
                let Some(key) = self.flow_of(listener, arrival.from, cx) else {
                    cx.totals.dropped_no_flow += count as u64;
                    return count;
                };
                (key, Direction::Up)
            }
            Role::Client(key) => (key, Direction::Up),
            Role::Target(key) => (key, Direction::Down),
        };
        let Some(flow) = self.flows.get_mut(key).filter(|flow| flow.takes(role, arrival.from))
        else {
            cx.totals.dropped_no_flow += count as u64;
            return count;
        };
        flow.active = at;
        if flow.up.is_none() && direction == Direction::Down {
            // It has not said where it wants to be sent to, and shows it now.
            flow.set_target(arrival.from, &self.ports);
        }
        let (link, is_up) = (flow.link, direction == Direction::Up);
        let mut rest = arrival.bytes;
        for _ in 0..count {
            let payload = rest.split_to(arrival.segment.min(rest.len()));
            let ends = Arc::clone(&flow.ends);
            let packet = Packet { flow: key, ends, is_up, load: Load::Datagram(payload) };
            cx.links.offer(at, link, direction, packet);
        }
        cx.offered_at = at;
        cx.totals.datagrams_received += count as u64;
        count
    }

    /// The flow of a listener's client, made where it is new.
    fn flow_of(&mut self, number: usize, client: SocketAddr, cx: &mut Context<'_>) -> Option<Key> {
        let listener = self.listeners.get_mut(number)?;
        if let Some((last, key)) = listener.last
            && last == client
        {
            return Some(key);
        }
        let key = match listener.by_client.get(&client) {
            Some(key) => *key,
            None => self.open(number, client, cx)?,
        };
        self.listeners.get_mut(number)?.last = Some((client, key));
        Some(key)
    }

    fn open(&mut self, number: usize, client: SocketAddr, cx: &mut Context<'_>) -> Option<Key> {
        let full = self.flows.len() >= self.flows_max;
        let listener = self.listeners.get_mut(number)?;
        let target = listener.target;
        if full {
            if !std::mem::replace(&mut listener.told.full, true) {
                let flows = self.flows_max;
                tracing::warn!(%client, "more than {flows} clients at once: new ones are dropped");
            }
            cx.totals.flows_refused += 1;
            return None;
        }
        let made = udp_bound(any_port(target.ip())).and_then(|socket| {
            socket.connect(target)?;
            Ok(Arc::new(socket))
        });
        let socket = match made {
            Ok(socket) => socket,
            Err(error) => {
                if !std::mem::replace(&mut listener.told.refused, true) {
                    tracing::warn!(%client, "no socket towards {target}: {error}");
                }
                cx.totals.flows_refused += 1;
                return None;
            }
        };
        let flow = Flow {
            link: listener.link,
            listener: Some(number),
            client,
            ends: Arc::new(Ends::new(client, target, listener.local)),
            up: Some(Arc::new(Way::new(Arc::clone(&socket), None))),
            down: Arc::new(Way::new(Arc::clone(&listener.socket), Some(client))),
            ports: Vec::new(),
            target_ip: None,
            active: cx.now,
        };
        let key = self.flows.insert_with(|_| flow);
        if self.add_port(key, socket, Role::Target(key), cx).is_err() {
            self.close(key);
            cx.totals.flows_refused += 1;
            return None;
        }
        self.listeners.get_mut(number)?.by_client.insert(client, key);
        cx.totals.flows_opened += 1;
        Some(key)
    }

    /// Watches a socket of a flow.
    pub(super) fn add_port(
        &mut self,
        flow: Key,
        socket: Arc<UdpSocket>,
        role: Role,
        cx: &Context<'_>,
    ) -> io::Result<()> {
        let port = Port { socket: Arc::clone(&socket), role, dropped: 0 };
        let key = self.ports.insert_with(|_| port);
        let interest = Interest { read: true, write: false };
        if let Err(error) = cx.waiter.watch(socket.as_fd(), token::udp(key), interest) {
            self.ports.remove(key);
            return Err(error);
        }
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.ports.push(key);
        }
        Ok(())
    }

    /// A datagram came out of the link.
    pub(super) fn exit(
        &mut self,
        key: Key,
        is_up: bool,
        payload: Bytes,
        at: Instant,
        totals: &mut Totals,
    ) {
        let flow = self.flows.get(key);
        let way = flow.and_then(|flow| if is_up { flow.up.as_ref() } else { Some(&flow.down) });
        match way {
            Some(way) => self.outbox.push(Letter { way: Arc::clone(way), payload, at }),
            None => totals.dropped_no_flow += 1,
        }
    }

    /// How many datagrams wait for [`Udp::flush`].
    pub(super) fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    /// Sends what came out.
    pub(super) fn flush(&mut self, totals: &mut Totals) {
        if self.outbox.len() == 0 {
            return;
        }
        let mut refusals: Vec<(SocketAddr, io::Error)> = Vec::new();
        let sent = self.outbox.flush(|way, error| {
            if refusals.is_empty()
                && let Ok(target) = way.socket.peer_addr()
            {
                refusals.push((target, io::Error::from(error.kind())));
            }
        });
        totals.datagrams_sent += sent.datagrams;
        totals.dropped_sending += sent.dropped_full + sent.dropped_refused;
        for (target, error) in refusals {
            let listener = self.listeners.iter_mut().find(|listener| listener.target == target);
            if let Some(listener) = listener {
                listener.note_unreachable(&error);
            }
        }
    }

    /// The time-out `idle`: flows over which nothing went for so long are given up.
    pub(super) fn sweep(&mut self, now: Instant) {
        let idle_max = self.idle_max;
        let is_idle = |flow: &Flow| flow.listener.is_some() && now > flow.active + idle_max;
        let idle: Vec<Key> =
            self.flows.iter().filter(|(_, flow)| is_idle(flow)).map(|(key, _)| key).collect();
        for key in idle {
            self.close(key);
        }
    }

    pub(super) fn close(&mut self, key: Key) {
        let Some(flow) = self.flows.remove(key) else { return };
        for port in flow.ports {
            self.ports.remove(port);
        }
        if let Some(listener) = flow.listener.and_then(|number| self.listeners.get_mut(number)) {
            listener.by_client.remove(&flow.client);
            listener.last = None;
        }
    }

    /// Flows of a link.
    pub(super) fn flows_of(&self, link: LinkIndex) -> u64 {
        self.flows.iter().filter(|(_, flow)| flow.link == link).count() as u64
    }

    /// A receive that failed tells of a datagram sent before.
    fn note_refusal(&mut self, role: Role, error: &io::Error) {
        let number = match role {
            Role::Clients(_) | Role::Client(_) => None,
            Role::Target(key) => self.flows.get(key).and_then(|flow| flow.listener),
        };
        if let Some(listener) = number.and_then(|number| self.listeners.get_mut(number)) {
            listener.note_unreachable(error);
        }
    }
}

impl Listener {
    fn note_unreachable(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.told.unreachable, true) {
            return;
        }
        let target = self.target;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                tracing::warn!(
                    "nothing listens at {target}: datagrams are sent there all the same"
                );
            }
            _ => tracing::warn!("sending to {target}: {error}; datagrams that fail are dropped"),
        }
    }
}

impl Flow {
    /// A flow of media, whose target's port is not known yet.
    pub(super) fn of_media(
        link: LinkIndex,
        client: SocketAddr,
        ends: Arc<Ends>,
        down: Arc<Way>,
        target: IpAddr,
    ) -> Self {
        Flow {
            link,
            listener: None,
            client,
            ends,
            up: None,
            down,
            ports: Vec::new(),
            target_ip: Some(target),
            active: Instant::ZERO,
        }
    }

    /// Whether a datagram that came to a socket of this flow belongs to it.
    fn takes(&self, role: Role, from: SocketAddr) -> bool {
        let from = plain(from);
        match (role, self.target_ip) {
            (Role::Clients(_), _) | (Role::Target(_), None) => true,
            (Role::Client(_), _) => from.ip() == self.ends.client.ip(),
            (Role::Target(_), Some(ip)) => from.ip() == ip.to_canonical(),
        }
    }

    /// The target wants to be sent to at this address.
    pub(super) fn set_target(&mut self, target: SocketAddr, ports: &Slab<Port>) {
        let socket = self.ports.iter().filter_map(|key| ports.get(*key)).find_map(|port| {
            matches!(port.role, Role::Target(_)).then(|| Arc::clone(&port.socket))
        });
        let Some(socket) = socket else { return };
        let to = socket.local_addr().map_or(target, |local| fitting(local, target));
        self.up = Some(Arc::new(Way::new(socket, Some(to))));
        self.ends = Arc::new(Ends { server: plain(target), ..*self.ends });
    }
}

/// Calls for one socket before the others have their turn.
const ROUNDS_MAX: usize = 4;
