//! The way out: from the hosts of a network to the machine and to what it reaches, without any
//! change to the machine's own network.
//!
//! It has a namespace of its own, in which every address is local, so that the kernel's own TCP
//! and UDP end there what hosts send out. Outside are ordinary sockets of this process.

mod echo;
mod map;
mod refusal;
mod socket;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use weir_time::Instant;

pub(crate) use map::{MACHINE, MACHINE_NAME, Map, RESOLVER};

use super::error::Error;
use super::layout::Step;
use super::packet::{Headers, ICMP, Packet, TCP, UDP};
use super::space::Space;
use crate::wait::{Ready, Waiter};
use echo::Echo;
use tcp::Tcp;
use udp::Udp;

/// The way out.
#[derive(Debug)]
pub(crate) struct WayOut {
    space: Arc<Space>,
    map: Map,
    tcp: Tcp,
    udp: Udp,
    echo: Echo,
    /// Packets that cannot go out: of other protocols, or to nowhere.
    refused: u64,
    look_again: Instant,
}

/// What the driver is to do for the way out.
#[derive(Debug)]
pub(crate) enum Action {
    /// Give this packet, which came over that link, to the way out's kernel.
    Deliver(Step, Packet),
    /// Answer with this packet, over that link.
    Reply(Step, Packet),
}

/// Which socket a token stands for: its highest byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listener = 1,
    Published = 2,
    Outside = 3,
    Inside = 4,
    UdpInside = 5,
    UdpOutside = 6,
    Echo = 7,
}

/// What parts of the way out work with.
struct Context<'a> {
    now: Instant,
    waiter: &'a Waiter,
    map: &'a Map,
    space: &'a Space,
    refused: &'a mut u64,
    actions: &'a mut Vec<Action>,
}

/// A port of the machine that leads to a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) udp: bool,
    pub(crate) port: u16,
    pub(crate) to: SocketAddrV4,
}

impl WayOut {
    /// In this namespace.
    pub(crate) fn new(space: Arc<Space>, map: Map) -> Self {
        let (tcp, udp, echo) = (Tcp::default(), Udp::default(), Echo::default());
        WayOut { space, map, tcp, udp, echo, refused: 0, look_again: Instant::ZERO }
    }

    /// Opens a port of the machine.
    pub(crate) fn publish(
        &mut self,
        waiter: &Waiter,
        now: Instant,
        port: Published,
    ) -> Result<(), Error> {
        match port.udp {
            true => self.udp.publish(waiter, now, port.port, port.to),
            false => self.tcp.publish(waiter, port.port, port.to),
        }
    }

    /// A packet came over a link.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        waiter: &Waiter,
        step: Step,
        packet: Packet,
        actions: &mut Vec<Action>,
    ) {
        let Some(headers) = Headers::read(&packet.bytes) else {
            self.refused += 1;
            return;
        };
        let (map, space, refused) = (&self.map, &*self.space, &mut self.refused);
        let mut context = Context { now, waiter, map, space, refused, actions };
        match (headers.protocol, headers.ports(&packet.bytes)) {
            (TCP, Some((from, to))) => {
                let flags = packet.bytes.get(headers.ip_bytes + 13).copied().unwrap_or(0);
                if flags & (SYN | ACK) == SYN {
                    let from = SocketAddrV4::new(headers.from, from);
                    let to = SocketAddrV4::new(headers.to, to);
                    return self.tcp.open(&mut context, (from, to), step, packet);
                }
            }
            (UDP, Some((_, port))) => {
                let to = SocketAddrV4::new(headers.to, port);
                if map.outside(to).is_none() || !self.udp.listen(&mut context, port) {
                    let answer = refusal::unreachable(&packet, refusal::PORT_UNREACHABLE);
                    return context.refuse(step, answer);
                }
            }
            (TCP | UDP, None) => {}
            (ICMP, _) => {
                // The way out's kernel would answer for everybody: only those who are there may.
                let kind = packet.bytes.get(headers.ip_bytes).copied();
                let is_ours = headers.to == MACHINE || headers.to == RESOLVER;
                if kind == Some(ECHO) && !is_ours {
                    if !self.echo.ask(&mut context, step, &packet) {
                        context.refuse(step, None);
                    }
                    return;
                }
            }
            _ => {
                let answer = refusal::unreachable(&packet, refusal::PROTOCOL_UNREACHABLE);
                return context.refuse(step, answer);
            }
        }
        actions.push(Action::Deliver(step, packet));
    }

    /// A socket has something.
    pub(crate) fn ready(
        &mut self,
        now: Instant,
        waiter: &Waiter,
        ready: Ready,
        actions: &mut Vec<Action>,
    ) {
        let Some((kind, id)) = Kind::of(ready.token) else { return };
        let (map, space, refused) = (&self.map, &*self.space, &mut self.refused);
        let mut context = Context { now, waiter, map, space, refused, actions };
        match kind {
            Kind::UdpInside => self.udp.take_inside(&mut context, id as u16),
            Kind::UdpOutside => self.udp.take_outside(&mut context, id),
            Kind::Echo => self.echo.answer(&mut context, id),
            _ => self.tcp.ready(&mut context, kind, id, ready),
        }
    }

    /// When to call [`WayOut::timer`].
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (self.tcp.flows() + self.udp.flows() + self.echo.flows() > 0).then_some(self.look_again)
    }

    /// Forgets what is over.
    pub(crate) fn timer(&mut self, now: Instant) {
        if now >= self.look_again {
            self.look_again = now + LOOK_AGAIN;
            self.tcp.expire(now);
            self.udp.expire(now);
            self.echo.expire(now);
        }
    }

    /// Packets and datagrams that went no further here.
    pub(crate) fn dropped(&self) -> u64 {
        self.refused + self.udp.dropped
    }
}

impl Kind {
    fn token(self, id: u64) -> u64 {
        (self as u64) << KIND_SHIFT | id
    }

    fn of(token: u64) -> Option<(Kind, u64)> {
        let all = [
            Kind::Listener,
            Kind::Published,
            Kind::Outside,
            Kind::Inside,
            Kind::UdpInside,
            Kind::UdpOutside,
            Kind::Echo,
        ];
        let kind = all.into_iter().find(|kind| *kind as u64 == token >> KIND_SHIFT)?;
        Some((kind, token & ((1 << KIND_SHIFT) - 1)))
    }
}

impl Context<'_> {
    /// Makes a socket in the way out's own namespace.
    fn inside(&self, make: impl FnOnce() -> io::Result<OwnedFd> + Send) -> io::Result<OwnedFd> {
        let made = self.space.within(|| Ok(make()));
        made.unwrap_or_else(|error| Err(io::Error::other(error.to_string())))
    }

    /// A packet goes no further; whoever sent it is told so, if there is something to tell.
    fn refuse(&mut self, step: Step, answer: Option<Packet>) {
        *self.refused += 1;
        self.actions.extend(answer.map(|answer| Action::Reply(step, answer)));
    }
}

/// What answers any packet: for a fuzzer.
pub(crate) fn fuzz_answers(packet: &Packet) {
    refusal::reset(packet);
    refusal::unreachable(packet, refusal::HOST_UNREACHABLE);
}

const KIND_SHIFT: u32 = 56;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// ICMP: echo request.
const ECHO: u8 = 8;
