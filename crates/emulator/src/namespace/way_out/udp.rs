//! UDP through the way out.
//!
//! Datagrams reach sockets of the kernel in the way out's own namespace, which puts fragments
//! together and cuts answers to the MTU. Outside each port of a host has a socket of its own, with
//! the same port number if that is free, so that protocols which name ports work.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use weir_time::Instant;

use super::map::RESOLVER;
use super::socket;
use super::{Context, Kind};
use crate::namespace::error::{Error, doing};
use crate::wait::{Interest, Waiter};

/// All ports of hosts that have sent something.
#[derive(Debug, Default)]
pub(super) struct Udp {
    /// In the way out's namespace, by the port to which hosts send.
    inside: BTreeMap<u16, Inside>,
    flows: BTreeMap<u64, Flow>,
    by_key: BTreeMap<Key, u64>,
    next: u64,
    scratch: Vec<u8>,
    /// Datagrams that went no further.
    pub(super) dropped: u64,
}

/// A host's port, and whether what it talks to is the machine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: SocketAddrV4,
    is_machine: bool,
}

#[derive(Debug)]
struct Inside {
    socket: OwnedFd,
    used: Instant,
}

#[derive(Debug)]
struct Flow {
    key: Key,
    outside: OwnedFd,
    used: Instant,
    is_published: bool,
    /// It has asked for names, so that what comes from the resolver is an answer.
    asks_names: bool,
}

impl Udp {
    /// Takes datagrams on a port of the machine, for a host's port.
    pub(super) fn publish(
        &mut self,
        waiter: &Waiter,
        now: Instant,
        port: u16,
        to: SocketAddrV4,
    ) -> Result<(), Error> {
        let what = || format!("publishing UDP port {port} of 127.0.0.1 (is it in use?)");
        let made = socket::open(libc::SOCK_DGRAM).and_then(|socket| {
            socket::bind(&socket, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
            Ok(socket)
        });
        let key = Key { host: to, is_machine: true };
        self.add(waiter, now, key, made.map_err(doing(what()))?, true).map_err(doing(what()))?;
        Ok(())
    }

    /// Sees to it that the way out's kernel takes datagrams to a port. Whether it does.
    pub(super) fn listen(&mut self, context: &mut Context<'_>, port: u16) -> bool {
        if let Some(inside) = self.inside.get_mut(&port) {
            inside.used = context.now;
            return true;
        }
        if self.inside.len() >= PORTS_MAX {
            let oldest = self.inside.iter().min_by_key(|(_, inside)| inside.used);
            if let Some(port) = oldest.map(|(port, _)| *port) {
                self.inside.remove(&port);
            }
        }
        let made = context.inside(|| {
            let socket = socket::open(libc::SOCK_DGRAM)?;
            socket::set(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            roomy(&socket);
            socket::bind(&socket, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
            Ok(socket)
        });
        let token = Kind::UdpInside.token(u64::from(port));
        let watched = made.and_then(|socket| {
            context.waiter.watch(socket.as_fd(), token, READ)?;
            Ok(socket)
        });
        match watched {
            Ok(socket) => {
                self.inside.insert(port, Inside { socket, used: context.now });
                true
            }
            Err(_) => false,
        }
    }

    /// Datagrams of hosts have come.
    pub(super) fn take_inside(&mut self, context: &mut Context<'_>, port: u16) {
        self.scratch.resize(DATAGRAM_BYTES_MAX, 0);
        for _ in 0..BATCH {
            let Some(inside) = self.inside.get(&port) else { return };
            let received = socket::receive_from(&inside.socket, &mut self.scratch);
            let Ok((length, host, to)) = received else { return };
            let to = SocketAddrV4::new(to, port);
            let sent = self.send_outside(context, host, to, length);
            self.dropped += u64::from(sent.is_err());
        }
    }

    /// Answers have come.
    pub(super) fn take_outside(&mut self, context: &mut Context<'_>, id: u64) {
        self.scratch.resize(DATAGRAM_BYTES_MAX, 0);
        for _ in 0..BATCH {
            let Some(flow) = self.flows.get_mut(&id) else { return };
            let (length, from) = match socket::receive_from(&flow.outside, &mut self.scratch) {
                Ok((length, from, _)) => (length, from),
                Err(_) => return,
            };
            flow.used = context.now;
            let (host, asks_names) = (flow.key.host, flow.asks_names);
            let from = context.map.inside(from, asks_names);
            let sent = self.listen(context, from.port()) && {
                let bytes = &self.scratch[..length];
                self.inside.get(&from.port()).is_some_and(|inside| {
                    socket::send_to(&inside.socket, bytes, Some(*from.ip()), host).is_ok()
                })
            };
            self.dropped += u64::from(!sent);
        }
    }

    /// Forgets ports that were silent for long.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_old = |flow: &Flow| !flow.is_published && now.since(flow.used) > SILENCE_MAX;
        let old: Vec<u64> =
            self.flows.iter().filter(|(_, flow)| is_old(flow)).map(|(id, _)| *id).collect();
        for id in old {
            self.remove(id);
        }
    }

    /// How many ports of hosts are known.
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    fn send_outside(
        &mut self,
        context: &mut Context<'_>,
        host: SocketAddrV4,
        to: SocketAddrV4,
        length: usize,
    ) -> io::Result<()> {
        let outside = context.map.outside(to).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let key = Key { host, is_machine: outside.ip().is_loopback() };
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => {
                let socket = open_outside(key)?;
                self.add(context.waiter, context.now, key, socket, false)?
            }
        };
        let flow = self.flows.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        flow.used = context.now;
        flow.asks_names |= *to.ip() == RESOLVER;
        socket::send_to(&flow.outside, &self.scratch[..length], None, outside)
    }

    fn add(
        &mut self,
        waiter: &Waiter,
        now: Instant,
        key: Key,
        outside: OwnedFd,
        is_published: bool,
    ) -> io::Result<u64> {
        if self.flows.len() >= FLOWS_MAX {
            let oldest = self.flows.iter().filter(|(_, flow)| !flow.is_published);
            let oldest = oldest.min_by_key(|(_, flow)| flow.used).map(|(id, _)| *id);
            oldest.into_iter().for_each(|id| self.remove(id));
        }
        let id = self.next;
        self.next += 1;
        roomy(&outside);
        waiter.watch(outside.as_fd(), Kind::UdpOutside.token(id), READ)?;
        let flow = Flow { key, outside, used: now, is_published, asks_names: false };
        self.flows.insert(id, flow);
        self.by_key.insert(key, id);
        Ok(id)
    }

    fn remove(&mut self, id: u64) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_key.remove(&flow.key);
        }
    }
}

/// A socket outside for a host's port.
fn open_outside(key: Key) -> io::Result<OwnedFd> {
    let socket = socket::open(libc::SOCK_DGRAM)?;
    let own = if key.is_machine { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let same = SocketAddrV4::new(own, key.host.port());
    if socket::bind(&socket, same).is_err() {
        socket::bind(&socket, SocketAddrV4::new(own, 0))?;
    }
    Ok(socket)
}

/// Room for bursts, as far as the system allows.
fn roomy(socket: &OwnedFd) {
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE, libc::SO_SNDBUF, libc::SO_SNDBUFFORCE] {
        let _ = socket::set(socket, libc::SOL_SOCKET, option, ROOM_BYTES);
    }
}

const READ: Interest = Interest { read: true, write: false };
const PORTS_MAX: usize = 4096;
const FLOWS_MAX: usize = 4096;
const DATAGRAM_BYTES_MAX: usize = 65_536;
const ROOM_BYTES: i32 = 4 << 20;
const BATCH: usize = 64;
/// RFC 4787 section 4.3 asks for two minutes at least.
const SILENCE_MAX: Duration = Duration::from_secs(180);
