//! Ping through the way out: asked again by this machine, where the system lets us.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use weir_time::Instant;

use super::refusal::ip_header;
use super::socket;
use super::{Action, Context, Kind};
use crate::namespace::cut::checksum;
use crate::namespace::layout::Step;
use crate::namespace::packet::{Headers, ICMP, Packet};
use crate::wait::{Interest, Waiter};

/// All that ask.
#[derive(Debug, Default)]
pub(super) struct Echo {
    flows: BTreeMap<u64, Flow>,
    by_key: BTreeMap<Key, u64>,
    next: u64,
}

/// Who asks, under which identifier, whom.
type Key = (Ipv4Addr, [u8; 2], Ipv4Addr);

#[derive(Debug)]
struct Flow {
    key: Key,
    socket: OwnedFd,
    /// The kernel gives whole IP packets of whatever was answered to anybody here.
    is_raw: bool,
    step: Step,
    used: Instant,
}

impl Echo {
    /// An echo request; whether it went out.
    pub(super) fn ask(&mut self, context: &mut Context<'_>, step: Step, packet: &Packet) -> bool {
        let Some(headers) = Headers::read(&packet.bytes) else { return false };
        let Some(message) = packet.bytes.get(headers.ip_bytes..) else { return false };
        let Some(&[_, _, _, _, id_0, id_1, ..]) = message.first_chunk::<8>() else { return false };
        let to = SocketAddrV4::new(headers.to, 0);
        if context.map.outside(to).is_none() {
            return false;
        }
        let key = (headers.from, [id_0, id_1], headers.to);
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => match self.add(context.waiter, context.now, key, step) {
                Ok(id) => id,
                Err(_) => return false,
            },
        };
        let Some(flow) = self.flows.get_mut(&id) else { return false };
        flow.used = context.now;
        socket::write(&flow.socket, message).is_ok()
    }

    /// Answers have come.
    pub(super) fn answer(&mut self, context: &mut Context<'_>, id: u64) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        for _ in 0..BATCH {
            let Some(flow) = self.flows.get(&id) else { return };
            let Ok(length) = socket::read(&flow.socket, &mut buffer) else { return };
            let received = buffer.get(..length).unwrap_or_default();
            let message = match (flow.is_raw, Headers::read(received)) {
                (true, Some(headers)) => received.get(headers.ip_bytes..).unwrap_or_default(),
                (true, None) => continue,
                (false, _) => received,
            };
            if let Some(packet) = answer(flow, message) {
                context.actions.push(Action::Reply(flow.step, packet));
            }
        }
    }

    /// Forgets those who ask no more.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_old = |flow: &Flow| now.since(flow.used) > SILENCE_MAX;
        let old: Vec<u64> =
            self.flows.iter().filter(|(_, flow)| is_old(flow)).map(|(id, _)| *id).collect();
        for id in old {
            if let Some(flow) = self.flows.remove(&id) {
                self.by_key.remove(&flow.key);
            }
        }
    }

    /// How many ask.
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    fn add(&mut self, waiter: &Waiter, now: Instant, key: Key, step: Step) -> io::Result<u64> {
        if self.flows.len() >= FLOWS_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        // Whoever may not ask by a datagram socket may ask by a raw one, if it is root.
        let (socket, is_raw) = match socket::open_icmp(libc::SOCK_DGRAM) {
            Ok(socket) => (socket, false),
            Err(_) => (socket::open_icmp(libc::SOCK_RAW)?, true),
        };
        socket::connect(&socket, SocketAddrV4::new(key.2, 0))?;
        let id = self.next;
        self.next += 1;
        waiter.watch(
            socket.as_fd(),
            Kind::Echo.token(id),
            Interest { read: true, write: false },
        )?;
        self.flows.insert(id, Flow { key, socket, is_raw, step, used: now });
        self.by_key.insert(key, id);
        Ok(id)
    }
}

/// The packet that answers whoever asked, if this is an echo reply for it.
fn answer(flow: &Flow, message: &[u8]) -> Option<Packet> {
    let (host, identifier, asked) = flow.key;
    if message.first() != Some(&ECHO_REPLY) || message.len() < 8 {
        return None;
    }
    if flow.is_raw && message.get(4..6) != Some(&identifier[..]) {
        return None;
    }
    let headers =
        Headers { from: host, to: asked, protocol: ICMP, ip_bytes: 20, is_later_fragment: false };
    let mut bytes = ip_header(&headers, ICMP, message.len());
    bytes.extend_from_slice(message);
    // The kernel has put an identifier of its own there.
    bytes[24..26].copy_from_slice(&identifier);
    bytes[22..24].fill(0);
    let sum = checksum(&bytes[20..], 0);
    bytes[22..24].copy_from_slice(&sum.to_be_bytes());
    Some(Packet { bytes, ..Packet::default() })
}

const ECHO_REPLY: u8 = 0;
const MESSAGE_BYTES_MAX: usize = 1480;
const FLOWS_MAX: usize = 256;
const BATCH: usize = 64;
const SILENCE_MAX: Duration = Duration::from_secs(60);
