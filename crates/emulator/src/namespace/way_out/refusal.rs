//! Packets that say no.

use std::io;

use crate::namespace::cut::{checksum, pseudo_header};
use crate::namespace::packet::{Headers, ICMP, Packet, TCP};

/// What answers a SYN whose connection failed outside in this way: a reset where somebody refused,
/// an ICMP message where there is no way, nothing where nobody answered.
pub(super) fn of_syn(syn: &Packet, error: &io::Error) -> Option<Packet> {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => None,
        Some(libc::ENETUNREACH) => unreachable(syn, NET_UNREACHABLE),
        Some(libc::EHOSTUNREACH) => unreachable(syn, HOST_UNREACHABLE),
        _ => reset(syn),
    }
}

/// RFC 9293 section 3.10.7.1: a reset for a segment without an acknowledgement.
pub(super) fn reset(syn: &Packet) -> Option<Packet> {
    let headers = Headers::read(&syn.bytes)?;
    let (from_port, to_port) = headers.ports(&syn.bytes)?;
    let seq = syn.bytes.get(headers.ip_bytes + 4..headers.ip_bytes + 8)?;
    let seq = u32::from_be_bytes(seq.try_into().ok()?);
    let mut bytes = ip_header(&headers, TCP, 20);
    bytes.extend_from_slice(&to_port.to_be_bytes());
    bytes.extend_from_slice(&from_port.to_be_bytes());
    bytes.extend_from_slice(&0_u32.to_be_bytes());
    bytes.extend_from_slice(&seq.wrapping_add(1).to_be_bytes());
    bytes.extend_from_slice(&[5 << 4, RST | ACK, 0, 0, 0, 0, 0, 0]);
    let sum = checksum(&bytes[20..], pseudo_header(&bytes, TCP, 20));
    bytes[36..38].copy_from_slice(&sum.to_be_bytes());
    Some(Packet { bytes, ..Packet::default() })
}

/// RFC 792: destination unreachable, with the headers of the packet that could not go on.
pub(super) fn unreachable(packet: &Packet, code: u8) -> Option<Packet> {
    let headers = Headers::read(&packet.bytes)?;
    if headers.protocol == ICMP || headers.is_later_fragment {
        return None;
    }
    let quoted = packet.bytes.get(..(headers.ip_bytes + 8).min(packet.bytes.len()))?;
    let mut bytes = ip_header(&headers, ICMP, 8 + quoted.len());
    bytes.extend_from_slice(&[3, code, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(quoted);
    let sum = checksum(&bytes[20..], 0);
    bytes[22..24].copy_from_slice(&sum.to_be_bytes());
    Some(Packet { bytes, ..Packet::default() })
}

/// The header of an answer.
pub(super) fn ip_header(asked: &Headers, protocol: u8, payload_bytes: usize) -> Vec<u8> {
    let total = (20 + payload_bytes) as u16;
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, protocol, 0, 0];
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header.extend_from_slice(&asked.to.octets());
    header.extend_from_slice(&asked.from.octets());
    let sum = checksum(&header, 0);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

pub(super) const NET_UNREACHABLE: u8 = 0;
pub(super) const HOST_UNREACHABLE: u8 = 1;
pub(super) const PORT_UNREACHABLE: u8 = 3;
pub(super) const PROTOCOL_UNREACHABLE: u8 = 2;
const TTL: u8 = 64;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    fn syn() -> Packet {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0, 10, 77, 0, 1, 192, 0, 2, 1];
        bytes.extend_from_slice(&[0x12, 0x34, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2]);
        bytes.extend_from_slice(&[0; 6]);
        Packet { bytes, ..Packet::default() }
    }

    #[test]
    fn a_refused_connection_is_reset_with_its_own_numbers() {
        let error = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let answer = of_syn(&syn(), &error).expect("it is answered");
        let headers = Headers::read(&answer.bytes).expect("it is a packet");
        assert_eq!(headers.ports(&answer.bytes), Some((80, 0x1234)));
        assert_eq!(&answer.bytes[28..32], &[0, 0, 0, 10]);
        assert_eq!(checksum(&answer.bytes[..20], 0), 0);
        assert_eq!(checksum(&answer.bytes[20..], pseudo_header(&answer.bytes, TCP, 20)), 0);
    }

    #[test]
    fn no_way_is_said_with_the_packet_that_found_none() {
        let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
        let answer = of_syn(&syn(), &error).expect("it is answered");
        assert_eq!(&answer.bytes[20..22], &[3, NET_UNREACHABLE]);
        assert_eq!(&answer.bytes[28..], &syn().bytes[..28]);
        assert_eq!(checksum(&answer.bytes[20..], 0), 0);
        assert!(unreachable(&answer, 0).is_none());
    }
}
