//! TCP through the way out: ended by the kernel on both sides.
//!
//! A SYN from a host is held back while the connection outside is opened; refused outside, it is
//! refused inside. Then the kernel of the way out's own namespace, where every address is local,
//! accepts it, and bytes are carried between the two sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use weir_time::Instant;

use super::map::MACHINE;
use super::refusal;
use super::socket;
use super::{Action, Context, Kind};
use crate::namespace::error::{Error, doing};
use crate::namespace::layout::Step;
use crate::namespace::packet::Packet;
use crate::wait::{Interest, Ready, Waiter};

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Tcp {
    /// In the way out's namespace, by port.
    listeners: BTreeMap<u16, OwnedFd>,
    /// On the machine, each with where it leads.
    published: Vec<(OwnedFd, SocketAddrV4)>,
    flows: BTreeMap<u64, Flow>,
    by_key: BTreeMap<Key, u64>,
    next: u64,
    scratch: Vec<u8>,
}

/// Who connects, and to whom, as hosts see it.
type Key = (SocketAddrV4, SocketAddrV4);

#[derive(Debug)]
struct Flow {
    key: Key,
    outside: Side,
    inside: Option<Side>,
    phase: Phase,
    since: Instant,
    to_outside: Half,
    to_inside: Half,
}

#[derive(Debug)]
enum Phase {
    /// Outside is being connected; the SYN waits for that.
    Opening {
        step: Step,
        syn: Packet,
    },
    /// Outside is connected; the handshake inside is on its way.
    Accepting,
    /// Somebody outside has connected; inside is being connected.
    Reaching,
    Open,
}

/// A socket, and what it is watched for now.
#[derive(Debug)]
struct Side {
    socket: OwnedFd,
    interest: Interest,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Read and not written yet.
    pending: Vec<u8>,
    /// Whoever sends has ended.
    has_ended: bool,
    /// Whoever receives knows.
    is_finished: bool,
}

impl Tcp {
    /// Takes connections on a port of the machine, for a host.
    pub(super) fn publish(
        &mut self,
        waiter: &Waiter,
        port: u16,
        to: SocketAddrV4,
    ) -> Result<(), Error> {
        let what = || format!("publishing TCP port {port} of 127.0.0.1 (is it in use?)");
        let socket = socket::listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let socket = socket.map_err(doing(what()))?;
        let token = Kind::Published.token(self.published.len() as u64);
        waiter.watch(socket.as_fd(), token, READ).map_err(doing(what()))?;
        self.published.push((socket, to));
        Ok(())
    }

    /// A SYN on its way out.
    pub(super) fn open(&mut self, context: &mut Context<'_>, key: Key, step: Step, syn: Packet) {
        if let Some(flow) = self.by_key.get(&key).and_then(|id| self.flows.get(id)) {
            // A retransmission: while it is held back, the first copy is enough.
            if !matches!(flow.phase, Phase::Opening { .. }) {
                context.actions.push(Action::Deliver(step, syn));
            }
            return;
        }
        let opened = match context.map.outside(key.1) {
            Some(to) if self.flows.len() < FLOWS_MAX => self.connect(context, key.1.port(), to),
            Some(_) => Err(io::Error::from_raw_os_error(libc::ECONNREFUSED)),
            None => Err(io::Error::from_raw_os_error(libc::EHOSTUNREACH)),
        };
        let side = match opened {
            Ok(side) => side,
            Err(error) => return context.refuse(step, refusal::of_syn(&syn, &error)),
        };
        let phase = Phase::Opening { step, syn };
        self.add(context, key, side, None, phase);
    }

    /// A socket of the way out has something.
    pub(super) fn ready(&mut self, context: &mut Context<'_>, kind: Kind, id: u64, ready: Ready) {
        match kind {
            Kind::Listener => self.accept(context, id as u16),
            Kind::Published => self.reach(context, id as usize),
            _ => self.flow_ready(context, kind, id, ready),
        }
    }

    /// Gives up what has waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let old: Vec<u64> = self
            .flows
            .iter()
            .filter(|(_, flow)| {
                !matches!(flow.phase, Phase::Open) && now.since(flow.since) > OPENING_MAX
            })
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.abort(id);
        }
    }

    /// How many connections there are.
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    fn connect(
        &mut self,
        context: &mut Context<'_>,
        port: u16,
        to: SocketAddrV4,
    ) -> io::Result<Side> {
        self.listen(context, port)?;
        let socket = socket::open(libc::SOCK_STREAM)?;
        prepare_outside(&socket, to)?;
        socket::connect(&socket, to)?;
        Ok(Side { socket, interest: Interest::default() })
    }

    /// Sees to it that the way out's kernel takes connections to a port.
    fn listen(&mut self, context: &mut Context<'_>, port: u16) -> io::Result<()> {
        if self.listeners.contains_key(&port) {
            return Ok(());
        }
        if self.listeners.len() >= LISTENERS_MAX {
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
        let listener = context.inside(|| socket::listen(at))?;
        context.waiter.watch(listener.as_fd(), Kind::Listener.token(u64::from(port)), READ)?;
        self.listeners.insert(port, listener);
        Ok(())
    }

    fn add(
        &mut self,
        context: &mut Context<'_>,
        key: Key,
        outside: Side,
        inside: Option<Side>,
        phase: Phase,
    ) {
        let id = self.next;
        self.next += 1;
        let flow = Flow {
            key,
            outside,
            inside,
            phase,
            since: context.now,
            to_outside: Half::default(),
            to_inside: Half::default(),
        };
        self.by_key.insert(key, id);
        let flow = self.flows.entry(id).or_insert(flow);
        let side = match (&flow.phase, &mut flow.inside) {
            (Phase::Reaching, Some(inside)) => inside.want(context.waiter, Kind::Inside, id, WRITE),
            _ => flow.outside.want(context.waiter, Kind::Outside, id, WRITE),
        };
        if side.is_err() {
            self.abort(id);
        }
    }

    /// Connections whose handshake inside is done.
    fn accept(&mut self, context: &mut Context<'_>, port: u16) {
        let Some(listener) = self.listeners.get(&port) else { return };
        let mut accepted = Vec::new();
        while let Some((socket, peer, own)) = socket::accept(listener) {
            match self.by_key.get(&(peer, own)) {
                Some(id) => accepted.push((*id, socket)),
                None => socket::close_with_reset(socket),
            }
        }
        for (id, socket) in accepted {
            let waiting = self.flows.get_mut(&id);
            let waiting = waiting.filter(|flow| matches!(flow.phase, Phase::Accepting));
            let Some(flow) = waiting else {
                socket::close_with_reset(socket);
                continue;
            };
            prepare_inside(&socket);
            flow.inside = Some(Side { socket, interest: Interest::default() });
            flow.phase = Phase::Open;
            self.pump(context, id);
        }
    }

    /// Connections from the machine to a published port.
    fn reach(&mut self, context: &mut Context<'_>, number: usize) {
        let mut accepted = Vec::new();
        if let Some((listener, to)) = self.published.get(number) {
            while let Some((socket, peer, _)) = socket::accept(listener) {
                accepted.push((socket, peer, *to));
            }
        }
        for (outside, peer, to) in accepted {
            let opened = context.inside(|| {
                let socket = socket::open(libc::SOCK_STREAM)?;
                socket::bind(&socket, SocketAddrV4::new(MACHINE, 0))?;
                socket::connect(&socket, to)?;
                Ok(socket)
            });
            let (Ok(inside), true) = (opened, self.flows.len() < FLOWS_MAX) else {
                socket::close_with_reset(outside);
                continue;
            };
            prepare_inside(&inside);
            let _ = prepare_outside(&outside, peer);
            let side = |socket| Side { socket, interest: Interest::default() };
            self.add(context, (to, peer), side(outside), Some(side(inside)), Phase::Reaching);
        }
    }

    fn flow_ready(&mut self, context: &mut Context<'_>, kind: Kind, id: u64, ready: Ready) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        match (&flow.phase, kind) {
            (Phase::Opening { .. }, Kind::Outside) => {
                let error = socket::take_error(&flow.outside.socket);
                if error.is_none() && !ready.write {
                    return;
                }
                let phase = std::mem::replace(&mut flow.phase, Phase::Accepting);
                let Phase::Opening { step, syn } = phase else { return };
                match error {
                    None => {
                        flow.since = context.now;
                        let _ = flow.outside.want(context.waiter, kind, id, Interest::default());
                        context.actions.push(Action::Deliver(step, syn));
                    }
                    Some(error) => {
                        context.refuse(step, refusal::of_syn(&syn, &error));
                        self.remove(id);
                    }
                }
            }
            (Phase::Reaching, Kind::Inside) => {
                let failed = flow.inside.as_ref().and_then(|side| socket::take_error(&side.socket));
                if failed.is_some() {
                    return self.abort(id);
                }
                flow.phase = Phase::Open;
                self.pump(context, id);
            }
            (Phase::Open, _) => self.pump(context, id),
            _ => {}
        }
    }

    /// Carries what can be carried, both ways.
    fn pump(&mut self, context: &mut Context<'_>, id: u64) {
        self.scratch.resize(SCRATCH_BYTES, 0);
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(inside) = &mut flow.inside else { return };
        let outside = &mut flow.outside;
        let carried =
            flow.to_outside.carry(&inside.socket, &outside.socket, &mut self.scratch).and_then(
                |()| flow.to_inside.carry(&outside.socket, &inside.socket, &mut self.scratch),
            );
        if carried.is_err() {
            return self.abort(id);
        }
        if flow.to_outside.is_finished && flow.to_inside.is_finished {
            return self.remove(id);
        }
        let interest = |sends: &Half, receives: &Half| Interest {
            read: sends.pending.is_empty() && !sends.has_ended,
            write: !receives.pending.is_empty(),
        };
        let wanted = interest(&flow.to_outside, &flow.to_inside);
        let watched = inside.want(context.waiter, Kind::Inside, id, wanted).and_then(|()| {
            let wanted = interest(&flow.to_inside, &flow.to_outside);
            outside.want(context.waiter, Kind::Outside, id, wanted)
        });
        if watched.is_err() {
            self.abort(id);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_key.remove(&flow.key);
        }
    }

    /// Ends a connection so that both sides see a reset.
    fn abort(&mut self, id: u64) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_key.remove(&flow.key);
            socket::close_with_reset(flow.outside.socket);
            if let Some(inside) = flow.inside {
                socket::close_with_reset(inside.socket);
            }
        }
    }
}

impl Side {
    /// A socket that nothing is wanted of is not watched: it would tell of its end for ever.
    fn want(&mut self, waiter: &Waiter, kind: Kind, id: u64, wanted: Interest) -> io::Result<()> {
        let nothing = Interest::default();
        let (fd, token) = (self.socket.as_fd(), kind.token(id));
        if wanted != self.interest {
            match (self.interest == nothing, wanted == nothing) {
                (true, _) => waiter.watch(fd, token, wanted)?,
                (_, true) => waiter.forget(fd)?,
                _ => waiter.change(fd, token, wanted)?,
            }
            self.interest = wanted;
        }
        Ok(())
    }
}

impl Half {
    fn carry(&mut self, from: &OwnedFd, to: &OwnedFd, scratch: &mut [u8]) -> io::Result<()> {
        for _ in 0..ROUNDS_MAX {
            if !self.pending.is_empty() {
                let count = unless_blocked(socket::write(to, &self.pending))?.unwrap_or(0);
                self.pending.drain(..count);
                if !self.pending.is_empty() {
                    return Ok(());
                }
            }
            if self.has_ended {
                if !self.is_finished {
                    socket::finish(to);
                    self.is_finished = true;
                }
                return Ok(());
            }
            match unless_blocked(socket::read(from, scratch))? {
                None => return Ok(()),
                Some(0) => self.has_ended = true,
                Some(count) => {
                    let bytes = &scratch[..count];
                    let written = unless_blocked(socket::write(to, bytes))?.unwrap_or(0);
                    self.pending.extend_from_slice(&bytes[written..]);
                }
            }
        }
        Ok(())
    }
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Local legs hold little, so that whoever sends feels the link and not our memory. Legs to other
/// machines have a round trip of their own and need room for it.
fn prepare_outside(socket: &OwnedFd, peer: SocketAddrV4) -> io::Result<()> {
    socket::set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if peer.ip().is_loopback() {
        socket::set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, LEG_BYTES / 2)?;
        socket::set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, LEG_BYTES / 2)?;
    }
    Ok(())
}

fn prepare_inside(socket: &OwnedFd) {
    // Neither can fail on a socket of TCP; if one did, only the timing would suffer.
    let _ = socket::set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    let _ = socket::set(socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, LEG_BYTES);
}

const READ: Interest = Interest { read: true, write: false };
const WRITE: Interest = Interest { read: false, write: true };
const FLOWS_MAX: usize = 8192;
const LISTENERS_MAX: usize = 4096;
const OPENING_MAX: Duration = Duration::from_secs(130);
const SCRATCH_BYTES: usize = 64 << 10;
/// So that one connection does not keep packets waiting.
const ROUNDS_MAX: usize = 4;
/// What a local leg may hold each way; the kernel doubles what it is asked for.
const LEG_BYTES: i32 = 64 << 10;
