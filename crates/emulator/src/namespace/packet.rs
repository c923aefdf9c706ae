//! Real IP packets, and what a device says beside each.

use std::net::Ipv4Addr;

use crate::links::Wire;

/// An IPv4 packet as a device gave it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packet {
    /// What is left to be done to it.
    pub(crate) offload: Offload,
    /// From the first byte of the IP header on.
    pub(crate) bytes: Vec<u8>,
}

/// What a sender left to the device: `struct virtio_net_hdr` of the virtio specification (section
/// 5.1.6), with offsets that count from the IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    /// The checksum is a pseudo header's alone: what stands from `checksum_start` on is missing.
    pub(crate) needs_checksum: bool,
    /// Where the sum begins.
    pub(crate) checksum_start: u16,
    /// Where it is stored, from there.
    pub(crate) checksum_offset: u16,
    /// The packet stands for many: of which protocol, [`NOT_SUPER`] if it stands for itself.
    pub(crate) gso_type: u8,
    /// The payload of each of them.
    pub(crate) segment_bytes: u16,
}

/// The packet stands for itself.
pub(crate) const NOT_SUPER: u8 = 0;
/// It stands for many TCP segments over IPv4.
pub(crate) const SUPER_TCP4: u8 = 1;
/// It stands for many UDP datagrams.
pub(crate) const SUPER_UDP: u8 = 5;
/// Beside the type: congestion notification is in use.
pub(crate) const SUPER_ECN: u8 = 0x80;

/// Bytes of the header that goes before each packet.
pub(crate) const OFFLOAD_BYTES: usize = 10;
/// The largest packet with what may go before it.
pub(crate) const PACKET_BYTES_MAX: usize = 65_536 + 64;

impl Offload {
    /// As a device gives it; `before` bytes stand between it and the IP header.
    pub(crate) fn decode(header: &[u8; OFFLOAD_BYTES], before: u16) -> Self {
        let [flags, gso_type, _, _, size_0, size_1, start_0, start_1, offset_0, offset_1] = *header;
        let needs_checksum = flags & NEEDS_CHECKSUM != 0;
        let start = u16::from_ne_bytes([start_0, start_1]);
        Offload {
            needs_checksum,
            checksum_start: if needs_checksum { start.saturating_sub(before) } else { 0 },
            checksum_offset: u16::from_ne_bytes([offset_0, offset_1]),
            gso_type,
            segment_bytes: u16::from_ne_bytes([size_0, size_1]),
        }
    }

    /// As a device takes it; `headers_bytes` are the packet's, before its payload.
    pub(crate) fn encode(&self, before: u16, headers_bytes: u16) -> [u8; OFFLOAD_BYTES] {
        let mut header = [0; OFFLOAD_BYTES];
        if self.needs_checksum {
            header[0] = NEEDS_CHECKSUM;
            header[6..8].copy_from_slice(&self.checksum_start.saturating_add(before).to_ne_bytes());
            header[8..10].copy_from_slice(&self.checksum_offset.to_ne_bytes());
        }
        if self.gso_type != NOT_SUPER {
            header[1] = self.gso_type;
            header[2..4].copy_from_slice(&headers_bytes.saturating_add(before).to_ne_bytes());
            header[4..6].copy_from_slice(&self.segment_bytes.to_ne_bytes());
        }
        header
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_done(&self) -> bool {
        !self.needs_checksum && self.gso_type == NOT_SUPER
    }
}

/// What the headers of an IPv4 packet say, as far as they are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    pub(crate) protocol: u8,
    /// Bytes of the IP header.
    pub(crate) ip_bytes: usize,
    /// Whether it is a later fragment, which has no header but IP's.
    pub(crate) is_later_fragment: bool,
}

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

impl Headers {
    /// `None` if it is no IPv4 packet (RFC 791 section 3.1).
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        let ip_bytes = usize::from(first & 0x0f) * 4;
        if first >> 4 != 4 || ip_bytes < 20 || packet.len() < ip_bytes {
            return None;
        }
        let address = |at: usize| -> Option<Ipv4Addr> {
            let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(bytes))
        };
        let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
        Some(Headers {
            from: address(12)?,
            to: address(16)?,
            protocol: *packet.get(9)?,
            ip_bytes,
            is_later_fragment: fragment & 0x1fff != 0,
        })
    }

    /// The ports of TCP and UDP: source, destination.
    pub(crate) fn ports(&self, packet: &[u8]) -> Option<(u16, u16)> {
        if self.is_later_fragment || !matches!(self.protocol, TCP | UDP) {
            return None;
        }
        let ports = packet.get(self.ip_bytes..self.ip_bytes + 4)?;
        Some((u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])))
    }

    /// Where the payload begins: behind the headers of IP and of TCP, UDP or ICMP.
    pub(crate) fn payload_start(&self, packet: &[u8]) -> usize {
        if self.is_later_fragment {
            return self.ip_bytes;
        }
        let above = match self.protocol {
            TCP => packet.get(self.ip_bytes + 12).map_or(0, |byte| usize::from(byte >> 4) * 4),
            UDP | ICMP => 8,
            _ => 0,
        };
        (self.ip_bytes + above).min(packet.len())
    }
}

impl Packet {
    /// What goes before it when it is given to a device.
    pub(crate) fn offload_header(&self, before: u16) -> [u8; OFFLOAD_BYTES] {
        let headers = match self.offload.gso_type {
            NOT_SUPER => 0,
            _ => Headers::read(&self.bytes).map_or(0, |read| read.payload_start(&self.bytes)),
        };
        self.offload.encode(before, headers as u16)
    }
}

impl Wire for Packet {
    fn ip_bytes(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        out.extend_from_slice(&self.bytes[..self.bytes.len().min(bytes_max)]);
    }

    fn corrupt(&mut self, random: u64) {
        let Some(headers) = Headers::read(&self.bytes) else { return };
        let payload = headers.payload_start(&self.bytes);
        // A packet without payload loses a bit of what is above IP.
        let start = if payload < self.bytes.len() { payload } else { headers.ip_bytes };
        let bits = (self.bytes.len().saturating_sub(start) * 8) as u64;
        if bits == 0 {
            return;
        }
        let bit = (random % bits) as usize;
        self.bytes[start + bit / 8] ^= 1 << (bit % 8);
    }
}

const NEEDS_CHECKSUM: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_device_says_survives_both_ways() {
        let offload = Offload {
            needs_checksum: true,
            checksum_start: 20,
            checksum_offset: 16,
            gso_type: SUPER_TCP4,
            segment_bytes: 1448,
        };
        for before in [0, 14] {
            assert_eq!(Offload::decode(&offload.encode(before, 52), before), offload);
        }
        assert!(Offload::default().is_done() && !offload.is_done());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_corrupted_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            version in any::<bool>(),
            random in any::<u64>(),
        ) {
            let mut bytes = bytes;
            if version && let Some(first) = bytes.first_mut() {
                *first = 0x45;
            }
            let mut packet = Packet { bytes: bytes.clone(), ..Packet::default() };
            packet.corrupt(random);
            let changed: u32 = packet.bytes.iter().zip(&bytes).map(|(a, b)| (a ^ b).count_ones()).sum();
            let headers = Headers::read(&bytes);
            prop_assert_eq!(changed == 1, headers.is_some_and(|read| bytes.len() > read.ip_bytes));
            if let Some(headers) = headers {
                headers.ports(&bytes);
                prop_assert!(headers.payload_start(&bytes) <= bytes.len());
            }
        }
    }
}
