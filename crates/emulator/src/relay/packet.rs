//! What stands for a packet on the links of relays, and how it looks as an IP packet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_proto::tcp::Segment;

use super::slab::Key;
use crate::links::Wire;

/// A packet of a relay: a datagram that came, or a segment of the user-space TCP.
#[derive(Clone, Debug)]
pub struct Packet {
    pub(super) flow: Key,
    pub(super) ends: Arc<Ends>,
    /// From the client to the target.
    pub(super) is_up: bool,
    pub(super) load: Load,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(super) enum Load {
    /// The payload of a UDP datagram.
    Datagram(Bytes),
    /// A segment; damaged ones fail their checksum on arrival.
    Segment { segment: Box<Segment>, damaged: bool },
}

/// Both ends of a flow, of one address family: what stands in the IP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

impl Ends {
    /// A flow from `client` to `target`. Where they are of different families, `listen` stands for
    /// the target.
    pub(super) fn new(client: SocketAddr, target: SocketAddr, listen: SocketAddr) -> Self {
        let client = super::socket::plain(client);
        let target = super::socket::plain(target);
        let server = if client.is_ipv4() == target.is_ipv4() {
            target
        } else {
            let listen = super::socket::plain(listen);
            let ip = if client.is_ipv4() == listen.is_ipv4() { listen.ip() } else { client.ip() };
            SocketAddr::new(ip, target.port())
        };
        Ends { client, server }
    }

    pub(super) fn ip_header_bytes(&self) -> u32 {
        if self.client.is_ipv4() { 20 } else { 40 }
    }
}

impl Wire for Packet {
    fn ip_bytes(&self) -> u32 {
        match &self.load {
            Load::Datagram(payload) => {
                self.ends.ip_header_bytes() + UDP_HEADER_BYTES + payload.len() as u32
            }
            Load::Segment { segment, .. } => segment.ip_bytes(),
        }
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        let start = out.len();
        let (from, to) = match self.is_up {
            true => (self.ends.client, self.ends.server),
            false => (self.ends.server, self.ends.client),
        };
        let (protocol, payload) = match &self.load {
            Load::Datagram(payload) => (PROTOCOL_UDP, payload),
            Load::Segment { segment, .. } => (PROTOCOL_TCP, &segment.payload),
        };
        let inner_bytes = self.ip_bytes() - self.ends.ip_header_bytes();
        let mut sum = write_ip_header(out, from.ip(), to.ip(), protocol, inner_bytes);
        let inner = out.len();
        out.extend_from_slice(&from.port().to_be_bytes());
        out.extend_from_slice(&to.port().to_be_bytes());
        let checksum_at = match &self.load {
            Load::Datagram(_) => {
                out.extend_from_slice(&(inner_bytes as u16).to_be_bytes());
                out.extend_from_slice(&[0; 2]);
                6
            }
            Load::Segment { segment, .. } => {
                write_tcp_header(out, segment);
                16
            }
        };
        sum.add(&out[inner..]);
        sum.add(payload);
        let mut checksum = sum.finish();
        match &self.load {
            Load::Datagram(_) if checksum == 0 => checksum = u16::MAX,
            Load::Segment { damaged: true, .. } => checksum ^= 1,
            _ => {}
        }
        out[inner + checksum_at..inner + checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
        let room = bytes_max.saturating_sub(out.len() - start);
        out.extend_from_slice(&payload[..payload.len().min(room)]);
        out.truncate(start + bytes_max.min(out.len() - start));
    }

    fn corrupt(&mut self, random: u64) {
        match &mut self.load {
            Load::Datagram(payload) if payload.is_empty() => {}
            Load::Datagram(payload) => {
                let mut changed = BytesMut::from(&payload[..]);
                let bit = random % (8 * changed.len() as u64);
                changed[(bit / 8) as usize] ^= 1 << (bit % 8);
                *payload = changed.freeze();
            }
            // A real receiver finds the wrong checksum and drops the segment.
            Load::Segment { damaged, .. } => *damaged = true,
        }
    }
}

/// Writes the header for `inner_bytes` behind it; returns the sum of the pseudo-header (RFC 768,
/// RFC 9293 section 3.1, RFC 8200 section 8.1).
fn write_ip_header(
    out: &mut Vec<u8>,
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    inner_bytes: u32,
) -> Checksum {
    let mut sum = Checksum::default();
    sum.add(&inner_bytes.to_be_bytes());
    sum.add(&[0, protocol]);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let at = out.len();
            let total = u16::try_from(20 + inner_bytes).unwrap_or(u16::MAX).to_be_bytes();
            // Version and length, no service class; no identification, as it is never fragmented.
            out.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0]);
            out.extend_from_slice(&[HOPS, protocol, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            let mut header = Checksum::default();
            header.add(&out[at..]);
            let checksum = header.finish().to_be_bytes();
            out[at + 10..at + 12].copy_from_slice(&checksum);
            sum.add(&from.octets());
            sum.add(&to.octets());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let length = u16::try_from(inner_bytes).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&[0x60, 0, 0, 0, length[0], length[1], protocol, HOPS]);
            out.extend_from_slice(&octets(from));
            out.extend_from_slice(&octets(to));
            sum.add(&octets(from));
            sum.add(&octets(to));
        }
    }
    sum
}

/// Writes what follows the ports, options included, with the checksum still zero.
fn write_tcp_header(out: &mut Vec<u8>, segment: &Segment) {
    let mut options = Vec::with_capacity(40);
    if let Some(mss_bytes) = segment.mss_bytes.filter(|_| segment.flags.syn) {
        let mss = u16::try_from(mss_bytes).unwrap_or(u16::MAX).to_be_bytes();
        options.extend_from_slice(&[2, 4, mss[0], mss[1], 4, 2]);
    } else if segment.flags.syn {
        options.extend_from_slice(&[1, 1, 1, 1, 4, 2]);
    } else if !segment.flags.rst {
        options.extend_from_slice(&[1, 1]);
    }
    if !segment.flags.rst {
        options.extend_from_slice(&[8, 10]);
        options.extend_from_slice(&segment.timestamps.value_us.to_be_bytes());
        options.extend_from_slice(&segment.timestamps.echo_us.to_be_bytes());
    }
    if segment.flags.syn {
        options.extend_from_slice(&[1, 3, 3, WINDOW_SCALE]);
    }
    let blocks = segment.sack.iter().count();
    if blocks > 0 {
        options.extend_from_slice(&[1, 1, 5, 2 + 8 * blocks as u8]);
        for (start, end) in segment.sack.iter() {
            options.extend_from_slice(&(start as u32).to_be_bytes());
            options.extend_from_slice(&(end as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(&(segment.seq as u32).to_be_bytes());
    out.extend_from_slice(&(segment.ack as u32).to_be_bytes());
    let words = (20 + options.len()) / 4;
    let flags = u8::from(segment.flags.fin)
        | u8::from(segment.flags.syn) << 1
        | u8::from(segment.flags.rst) << 2
        | u8::from(!segment.payload.is_empty()) << 3
        | u8::from(segment.flags.ack) << 4;
    let scale = if segment.flags.syn { 0 } else { WINDOW_SCALE };
    let window = u16::try_from(segment.window >> scale).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[(words as u8) << 4, flags, window[0], window[1], 0, 0, 0, 0]);
    out.extend_from_slice(&options);
}

/// The Internet checksum (RFC 1071).
#[derive(Clone, Copy, Debug, Default)]
struct Checksum {
    sum: u64,
    /// The first half of a word whose second half comes with the next bytes.
    odd: Option<u8>,
}

impl Checksum {
    fn add(&mut self, mut bytes: &[u8]) {
        if let (Some(high), Some((&low, rest))) = (self.odd, bytes.split_first()) {
            self.sum += u64::from(u16::from_be_bytes([high, low]));
            self.odd = None;
            bytes = rest;
        }
        let words = bytes.chunks_exact(2);
        self.odd = words.remainder().first().copied().or(self.odd);
        for word in words {
            self.sum += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
    }

    fn finish(mut self) -> u16 {
        self.sum += self.odd.map_or(0, |high| u64::from(high) << 8);
        while self.sum > 0xffff {
            self.sum = (self.sum & 0xffff) + (self.sum >> 16);
        }
        !(self.sum as u16)
    }
}

const UDP_HEADER_BYTES: u32 = 8;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const HOPS: u8 = 64;
/// Windows are said in units of 128 bytes in captures; the model counts in bytes.
const WINDOW_SCALE: u8 = 7;

#[cfg(test)]
mod tests {
    use weir_proto::tcp::{Flags, Timestamps};

    use super::*;

    fn packet(load: Load, client: &str, server: &str) -> Packet {
        let address = |text: &str| text.parse().expect("an address");
        let ends = Ends::new(address(client), address(server), address(server));
        Packet { flow: Key::of_number(0), ends: Arc::new(ends), is_up: true, load }
    }

    fn written(packet: &Packet) -> Vec<u8> {
        let mut out = Vec::new();
        packet.write_ip(&mut out, usize::MAX);
        assert_eq!(out.len() as u32, packet.ip_bytes());
        out
    }

    /// The sum over the pseudo-header and what follows the IP header: zero where it is right.
    fn check(out: &[u8], header_bytes: usize, protocol: u8) -> u16 {
        let mut sum = Checksum::default();
        let addresses = if header_bytes == 20 { &out[12..20] } else { &out[8..40] };
        sum.add(addresses);
        sum.add(&((out.len() - header_bytes) as u32).to_be_bytes());
        sum.add(&[0, protocol]);
        sum.add(&out[header_bytes..]);
        sum.finish()
    }

    #[test]
    fn a_datagram_is_written_with_the_headers_of_both_families() {
        let load = Load::Datagram(Bytes::from_static(b"hello"));
        let out = written(&packet(load.clone(), "10.0.0.1:5000", "10.0.0.2:6000"));
        assert_eq!((out[0], out.len()), (0x45, 33));
        let mut header = Checksum::default();
        header.add(&out[..20]);
        assert_eq!((header.finish(), check(&out, 20, 17)), (0, 0));
        let out = written(&packet(load, "[::1]:5000", "[::1]:6000"));
        assert_eq!((out[0], out.len(), check(&out, 40, 17)), (0x60, 53, 0));
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4() {
        let load = Load::Datagram(Bytes::new());
        let packet = packet(load, "[::ffff:10.0.0.1]:5000", "10.0.0.2:6000");
        assert_eq!(packet.ip_bytes(), 28);
        assert_eq!(written(&packet)[12..16], [10, 0, 0, 1]);
    }

    #[test]
    fn a_segment_is_written_as_long_as_it_counts_with_a_right_checksum() {
        let timestamps = Timestamps { value_us: 1, echo_us: 2 };
        let mut segment = Segment {
            seq: (7 << 32) + 1,
            ack: 5,
            flags: Flags { ack: true, ..Flags::default() },
            window: 128_000,
            timestamps,
            ip_header_bytes: 20,
            payload: Bytes::from_static(b"odd"),
            ..Segment::default()
        };
        segment.sack.push(10, 20);
        segment.sack.push(30, 40);
        let of = |segment: &Segment, damaged| {
            let load = Load::Segment { segment: Box::new(segment.clone()), damaged };
            packet(load, "10.0.0.1:1", "10.0.0.2:2")
        };
        let out = written(&of(&segment, false));
        assert_eq!(check(&out, 20, 6), 0);
        assert_eq!(out[24..28], [0, 0, 0, 1]);
        assert_ne!(check(&written(&of(&segment, true)), 20, 6), 0);
        let syn = Segment {
            flags: Flags { syn: true, ..Flags::default() },
            mss_bytes: Some(1448),
            ip_header_bytes: 20,
            ..Segment::default()
        };
        assert_eq!(check(&written(&of(&syn, false)), 20, 6), 0);
        let reset = syn.refusal().expect("a SYN is answered");
        assert_eq!(check(&written(&of(&reset, false)), 20, 6), 0);
    }

    #[test]
    fn a_packet_is_cut_to_what_is_asked_and_its_checksum_is_of_the_whole() {
        let packet =
            packet(Load::Datagram(Bytes::from_static(&[7; 100])), "10.0.0.1:5000", "10.0.0.2:6000");
        let (whole, mut cut) = (written(&packet), Vec::new());
        packet.write_ip(&mut cut, 40);
        assert_eq!(cut[..], whole[..40]);
    }

    #[test]
    fn corruption_changes_one_bit_of_a_datagram() {
        let mut packet =
            packet(Load::Datagram(Bytes::from_static(&[0; 9])), "10.0.0.1:5", "10.0.0.2:6");
        packet.corrupt(1 << 40 | 11);
        let Load::Datagram(payload) = &packet.load else { panic!("it is one") };
        assert_eq!(payload.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
}
