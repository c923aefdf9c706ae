//! Connections: ended on both sides, and carried over the link by the user-space TCP between.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use weir_link::Direction;
use weir_proto::rtsp::relay::Relay as Rewriter;
use weir_proto::tcp::{Connection, Segment, Settings};
use weir_time::{Instant, hash};

use super::end::End;
use super::leg::Leg;
use super::media::{Opener, Sides, Streams};
use super::packet::{Ends, Load, Packet};
use super::slab::{Key, Slab};
use super::socket::{any_port, plain, reset_on_close, tcp_connecting};
use super::udp::Udp;
use super::{Context, Totals, token};
use crate::links::LinkIndex;

/// All connections of a driver.
pub(super) struct Tcp {
    settings: Settings,
    seed: u64,
    flows_max: usize,
    listeners: Vec<Listener>,
    flows: Slab<Flow>,
    timers: BTreeSet<(Instant, Key, Timer)>,
    /// Flows whose local connections may have something to do.
    dirty: Vec<Key>,
    scratch: Box<[u8]>,
    opened: u64,
}

struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    target: SocketAddr,
    link: LinkIndex,
    reads_rtsp: bool,
    told_down: bool,
    told_full: bool,
}

/// One connection through a relay.
struct Flow {
    listener: usize,
    link: LinkIndex,
    ends: Arc<Ends>,
    /// On the client's side, which opens the connection over the link.
    near: End,
    /// On the target's side; absent until the opening segment has crossed the link.
    far: Option<End>,
    rtsp: Option<Box<Rtsp>>,
    is_dirty: bool,
    /// Since when one end is gone and the other does not know.
    half_since: Option<Instant>,
}

/// What a relay of RTSP has beside.
struct Rtsp {
    rewriter: Rewriter,
    sides: Sides,
    streams: Streams,
    due: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Near,
    Far,
    /// The silence that ends a request of the classroom dialect.
    Silence,
}

/// A side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Near,
    Far,
}

impl Tcp {
    pub(super) fn new(settings: Settings, seed: u64, flows_max: usize) -> Self {
        Tcp {
            settings,
            seed: hash([seed, USE_TCP]),
            flows_max,
            listeners: Vec::new(),
            flows: Slab::new(),
            timers: BTreeSet::new(),
            dirty: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            opened: 0,
        }
    }

    /// One more relay; returns its number.
    pub(super) fn listen(
        &mut self,
        socket: TcpListener,
        target: SocketAddr,
        link: LinkIndex,
        reads_rtsp: bool,
    ) -> usize {
        let local = socket.local_addr().unwrap_or(any_port(target.ip()));
        let (told_down, told_full) = (false, false);
        let listener = Listener { socket, local, target, link, reads_rtsp, told_down, told_full };
        self.listeners.push(listener);
        self.listeners.len() - 1
    }

    pub(super) fn listener(&self, number: usize) -> Option<&TcpListener> {
        self.listeners.get(number).map(|listener| &listener.socket)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flows.len() == 0
    }

    /// Takes the clients that wait.
    pub(super) fn accept(&mut self, number: usize, cx: &mut Context<'_>) {
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listeners.get_mut(number) else { return };
            let (stream, client) = match listener.socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client has gone again, or there are no descriptors: others may wait.
                Err(_) => continue,
            };
            if self.flows.len() >= self.flows_max {
                if !std::mem::replace(&mut listener.told_full, true) {
                    let flows = self.flows_max;
                    tracing::warn!(%client, "more than {flows} connections: new ones are reset");
                }
                cx.totals.flows_refused += 1;
                reset_on_close(&stream);
                continue;
            }
            let prepared = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            if prepared.is_err() {
                continue;
            }
            let ends = Arc::new(Ends::new(client, listener.target, listener.local));
            let settings = of_flow(&self.settings, &ends);
            let rtsp = listener.reads_rtsp.then(|| {
                let at = stream.local_addr().map_or(listener.local, plain);
                Box::new(Rtsp::new(cx.now, listener, plain(client), at))
            });
            let (link, listener) = (listener.link, number);
            self.opened += 1;
            let seed = hash([self.seed, self.opened]);
            let near = End::new(Connection::connect(cx.now, seed, settings), Leg::open(stream));
            let flow = Flow {
                listener,
                link,
                ends,
                near,
                far: None,
                rtsp,
                is_dirty: false,
                half_since: None,
            };
            let key = self.flows.insert_with(|_| flow);
            cx.totals.flows_opened += 1;
            self.watch(key, Side::Near, cx);
            self.mark(key);
        }
    }

    fn watch(&mut self, key: Key, side: Side, cx: &Context<'_>) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        let Some(end) = flow.end(side) else { return };
        let Some(stream) = end.leg.stream() else { return };
        if let Err(error) = cx.waiter.watch_edges(stream.as_fd(), token::leg(key, side)) {
            tracing::warn!("a connection cannot be watched: {error}");
            end.fail();
        }
    }

    /// A local connection has something.
    pub(super) fn ready(
        &mut self,
        key: Key,
        side: Side,
        ready: crate::Ready,
        cx: &mut Context<'_>,
    ) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        let listener = flow.listener;
        let Some(end) = flow.end(side) else { return };
        let outcome = end.leg.note(ready.read, ready.write).and_then(|()| {
            let error = if ready.failed { end.leg.take_error() } else { None };
            error.map_or(Ok(()), Err)
        });
        match outcome {
            Ok(()) => {}
            Err(error) => {
                let was_refused = end.leg.was_refused();
                end.fail();
                if was_refused {
                    self.note_down(listener, &error, cx.totals);
                }
            }
        }
        self.mark(key);
    }

    fn note_down(&mut self, number: usize, error: &io::Error, totals: &mut Totals) {
        totals.targets_refused += 1;
        let Some(listener) = self.listeners.get_mut(number) else { return };
        if std::mem::replace(&mut listener.told_down, true) {
            return;
        }
        let target = listener.target;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => tracing::warn!(
                "nothing listens at {target}: clients are reset until something does"
            ),
            _ => tracing::warn!("cannot connect to {target}: {error}; clients are reset"),
        }
    }

    fn mark(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key)
            && !std::mem::replace(&mut flow.is_dirty, true)
        {
            self.dirty.push(key);
        }
    }

    /// A segment came out of the link.
    pub(super) fn exit(
        &mut self,
        key: Key,
        is_up: bool,
        segment: Segment,
        at: Instant,
        cx: &mut Context<'_>,
    ) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        let side = if is_up { Side::Far } else { Side::Near };
        if is_up && flow.far.is_none() && segment.flags.syn {
            let seed = hash([self.seed, key.number(), 1]);
            let settings = of_flow(&self.settings, &flow.ends);
            let tcp = Connection::accept(at, seed, settings, &segment);
            flow.far = Some(End::new(tcp, Leg::default()));
        } else {
            match flow.end(side) {
                Some(end) if !end.tcp.is_closed() => end.tcp.handle(at, segment),
                // As a host answers what belongs to none of its connections.
                _ => {
                    if let Some(refusal) = segment.refusal() {
                        flow.offer(key, side, refusal, at, cx);
                    }
                    return;
                }
            }
        }
        self.poll(key, side, at, cx);
        self.mark(key);
    }

    /// When the next timer is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, ..)| *at)
    }

    /// Does what timers say that are due.
    pub(super) fn expire(&mut self, at: Instant, cx: &mut Context<'_>) {
        while let Some((due, key, timer)) =
            self.timers.first().copied().filter(|(due, ..)| *due <= at)
        {
            self.timers.remove(&(due, key, timer));
            let Some(flow) = self.flows.get_mut(key) else { continue };
            let side = match timer {
                Timer::Near => Side::Near,
                Timer::Far => Side::Far,
                Timer::Silence => {
                    if let Some(rtsp) = &mut flow.rtsp {
                        rtsp.due = None;
                    }
                    self.mark(key);
                    continue;
                }
            };
            if let Some(end) = flow.end(side) {
                end.due = None;
                end.tcp.timer(at);
            }
            self.poll(key, side, at, cx);
            self.mark(key);
        }
    }

    /// Sends what one end has to send.
    fn poll(&mut self, key: Key, side: Side, at: Instant, cx: &mut Context<'_>) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        while let Some(segment) = flow.end(side).and_then(|end| end.next_segment(at)) {
            flow.offer(key, side, segment, at, cx);
        }
        let Some(end) = flow.end(side) else { return };
        let timer = if side == Side::Near { Timer::Near } else { Timer::Far };
        if end.due != end.next_due {
            if let Some(was) = end.due {
                self.timers.remove(&(was, key, timer));
            }
            if let Some(due) = end.next_due {
                self.timers.insert((due, key, timer));
            }
            end.due = end.next_due;
        }
    }

    /// Lets bytes go between the local connections and the TCP, wherever something has changed.
    pub(super) fn pump(&mut self, udp: &mut Udp, cx: &mut Context<'_>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.is_dirty = false;
            }
            self.pump_flow(key, udp, cx);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }

    fn pump_flow(&mut self, key: Key, udp: &mut Udp, cx: &mut Context<'_>) {
        for side in [Side::Near, Side::Far] {
            for _ in 0..ROUNDS_MAX {
                self.connect_if_due(key, cx);
                let Some(flow) = self.flows.get_mut(key) else { return };
                let moved = flow.exchange(side, &mut self.scratch, udp, cx);
                self.poll(key, side, cx.now, cx);
                if !moved {
                    break;
                }
            }
        }
        self.set_silence(key);
        let Some(flow) = self.flows.get(key) else { return };
        if flow.is_over() {
            self.remove(key, udp);
        }
    }

    /// The connection has crossed the link: now the target is connected to.
    fn connect_if_due(&mut self, key: Key, cx: &mut Context<'_>) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        let number = flow.listener;
        let Some(end) = flow.far.as_mut() else { return };
        if !end.take_connected() {
            return;
        }
        let Some(target) = self.listeners.get(number).map(|listener| listener.target) else {
            return;
        };
        match tcp_connecting(target) {
            Ok(stream) => {
                if let Some(rtsp) = &mut flow.rtsp
                    && let Ok(local) = stream.local_addr()
                {
                    rtsp.sides.towards_target = local.ip();
                }
                end.leg = Leg::connecting(stream);
                self.watch(key, Side::Far, cx);
            }
            Err(error) => {
                end.fail();
                self.note_down(number, &error, cx.totals);
            }
        }
    }

    fn set_silence(&mut self, key: Key) {
        let Some(rtsp) = self.flows.get_mut(key).and_then(|flow| flow.rtsp.as_mut()) else {
            return;
        };
        let next = rtsp.rewriter.next_timeout();
        if rtsp.due != next {
            if let Some(was) = rtsp.due {
                self.timers.remove(&(was, key, Timer::Silence));
            }
            if let Some(due) = next {
                self.timers.insert((due, key, Timer::Silence));
            }
            rtsp.due = next;
        }
    }

    fn remove(&mut self, key: Key, udp: &mut Udp) {
        let Some(mut flow) = self.flows.remove(key) else { return };
        for (end, timer) in [(Some(&flow.near), Timer::Near), (flow.far.as_ref(), Timer::Far)] {
            if let Some(due) = end.and_then(|end| end.due) {
                self.timers.remove(&(due, key, timer));
            }
        }
        if let Some(rtsp) = &mut flow.rtsp {
            if let Some(due) = rtsp.due {
                self.timers.remove(&(due, key, Timer::Silence));
            }
            rtsp.streams.close_all(udp);
        }
    }

    /// The time-out `half open`: an end whose peer has gone, and was not heard to go, goes too.
    pub(super) fn sweep(&mut self, now: Instant) {
        let keys: Vec<Key> = self.flows.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(flow) = self.flows.get_mut(key) else { continue };
            if !flow.is_half_gone() {
                flow.half_since = None;
                continue;
            }
            let since = *flow.half_since.get_or_insert(now);
            if now > since + super::HALF_OPEN_MAX {
                flow.near.fail();
                if let Some(far) = &mut flow.far {
                    far.fail();
                }
                self.mark(key);
            }
        }
    }

    /// Flows of a link, and the most bytes that a local connection of one holds on the way up and
    /// on the way down.
    pub(super) fn held(&self, link: LinkIndex) -> Held {
        let mut held = Held::default();
        for (_, flow) in self.flows.iter().filter(|(_, flow)| flow.link == link) {
            held.flows += 1;
            let (near_in, near_out) = flow.near.held_bytes();
            let (far_in, far_out) = flow.far.as_ref().map_or((0, 0), End::held_bytes);
            held.up_bytes = held.up_bytes.max(near_in).max(far_out);
            held.down_bytes = held.down_bytes.max(far_in).max(near_out);
        }
        held
    }
}

/// What the local connections of a link hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) flows: u64,
    pub(super) up_bytes: u64,
    pub(super) down_bytes: u64,
}

impl Flow {
    fn end(&mut self, side: Side) -> Option<&mut End> {
        match side {
            Side::Near => Some(&mut self.near),
            Side::Far => self.far.as_mut(),
        }
    }

    /// Puts a segment onto the link.
    fn offer(&self, key: Key, side: Side, segment: Segment, at: Instant, cx: &mut Context<'_>) {
        let is_up = side == Side::Near;
        let direction = if is_up { Direction::Up } else { Direction::Down };
        let load = Load::Segment { segment: Box::new(segment), damaged: false };
        let packet = Packet { flow: key, ends: Arc::clone(&self.ends), is_up, load };
        cx.links.offer(at, self.link, direction, packet);
    }

    fn exchange(
        &mut self,
        side: Side,
        scratch: &mut [u8],
        udp: &mut Udp,
        cx: &mut Context<'_>,
    ) -> bool {
        let rtsp = self.rtsp.as_mut().filter(|_| side == Side::Far);
        let (Some(end), Some(rtsp)) = (
            match side {
                Side::Near => Some(&mut self.near),
                Side::Far => self.far.as_mut(),
            },
            rtsp,
        ) else {
            return self.end(side).is_some_and(|end| {
                end.exchange(scratch, &mut |bytes| bytes, &mut Bytes::copy_from_slice)
            });
        };
        let Rtsp { rewriter, sides, streams, .. } = &mut **rtsp;
        let now = cx.now;
        // Both ways change the same rewriter and open the same ports, one after the other.
        let shared =
            std::cell::RefCell::new((rewriter, Opener { streams, sides: *sides, udp, cx }));
        let mut up = |bytes: Bytes| {
            let (rewriter, opener) = &mut *shared.borrow_mut();
            if bytes.is_empty() {
                rewriter.finish_client()
            } else {
                rewriter.from_client(now, &bytes, opener)
            }
        };
        let mut down = |bytes: &[u8]| {
            let (rewriter, opener) = &mut *shared.borrow_mut();
            if bytes.is_empty() {
                rewriter.finish_server()
            } else {
                rewriter.from_server(bytes, opener)
            }
        };
        let moved = end.exchange(scratch, &mut up, &mut down);
        let (rewriter, opener) = &mut *shared.borrow_mut();
        let rest = rewriter.timer(now, opener);
        end.add_outgoing(rest) || moved
    }

    /// Whether both ends have nothing left to do.
    fn is_over(&self) -> bool {
        let far = self.far.as_ref();
        self.near.is_over() && far.map_or(self.near.tcp.is_closed(), End::is_over)
    }

    /// Whether one end has gone and the other does not know yet.
    fn is_half_gone(&self) -> bool {
        let near = self.near.has_tcp_ended();
        self.far.as_ref().is_some_and(|far| far.has_tcp_ended() != near)
    }
}

impl Rtsp {
    fn new(now: Instant, listener: &Listener, client: SocketAddr, at: SocketAddr) -> Self {
        let ends = weir_proto::rtsp::relay::Ends { client: client.ip(), relay: at.ip() };
        let target = listener.target.ip();
        let sides = Sides {
            link: listener.link,
            client: client.ip(),
            towards_client: at.ip(),
            target,
            towards_target: any_port(target).ip(),
        };
        Rtsp { rewriter: Rewriter::new(now, ends), sides, streams: Streams::default(), due: None }
    }
}

fn of_flow(settings: &Settings, ends: &Ends) -> Settings {
    let ip_header_bytes = ends.ip_header_bytes();
    // MTU 1500, TCP header 20, time stamps 12.
    let mss_bytes = 1500 - ip_header_bytes - 32;
    Settings { ip_header_bytes, mss_bytes, ..settings.clone() }
}

/// Clients taken before others have their turn.
const ACCEPTS_MAX: usize = 64;
/// How often one side of a flow has its turn in a row.
const ROUNDS_MAX: usize = 8;
const READ_BYTES: usize = 16 << 10;
const USE_TCP: u64 = u64::from_le_bytes(*b"tcpflows");
