//! Cutting super-packets to the packets that they stand for.

use super::packet::{
    Headers, NOT_SUPER, Offload, Packet, SUPER_ECN, SUPER_TCP4, SUPER_UDP, TCP, UDP,
};

/// Hands `out` the packets for which `packet` stands, each with all its checksums: what a network
/// card does for its host. What cannot be cut is dropped; then the result is false.
pub(crate) fn cut(mut packet: Packet, mut out: impl FnMut(Packet)) -> bool {
    match packet.offload.gso_type & !SUPER_ECN {
        NOT_SUPER => {
            if packet.offload.needs_checksum && !finish_checksum(&mut packet) {
                return false;
            }
            packet.offload = Offload::default();
            out(packet);
            true
        }
        SUPER_TCP4 => cut_segments(&packet, TCP, &mut out).is_some(),
        SUPER_UDP => cut_segments(&packet, UDP, &mut out).is_some(),
        _ => false,
    }
}

/// The sum over 16-bit words that the Internet's checksums are made of, not folded (RFC 1071).
fn sum(bytes: &[u8], begin: u32) -> u32 {
    let mut total = u64::from(begin);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_be_bytes(last));
    // Sums of 32-bit words are sums of 16-bit words once both halves are added.
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

/// The checksum of bytes whose own checksum field is zero.
pub(crate) fn checksum(bytes: &[u8], begin: u32) -> u16 {
    !(sum(bytes, begin) as u16)
}

/// The sum of what TCP and UDP count besides their own bytes (RFC 9293 section 3.1).
pub(crate) fn pseudo_header(packet: &[u8], protocol: u8, above_bytes: usize) -> u32 {
    let addresses = packet.get(12..20).map_or(0, |addresses| sum(addresses, 0));
    addresses + u32::from(protocol) + above_bytes as u32
}

fn finish_checksum(packet: &mut Packet) -> bool {
    let start = usize::from(packet.offload.checksum_start);
    let at = start + usize::from(packet.offload.checksum_offset);
    if packet.bytes.len() < at + 2 {
        return false;
    }
    // The field holds the pseudo header's sum, and is summed up with the rest.
    let value = match checksum(&packet.bytes[start..], 0) {
        0 if packet.bytes.get(9) == Some(&UDP) => 0xffff,
        value => value,
    };
    packet.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    true
}

fn cut_segments(packet: &Packet, protocol: u8, out: &mut impl FnMut(Packet)) -> Option<()> {
    let bytes = &packet.bytes;
    let headers = Headers::read(bytes)?;
    let (above, start) = (headers.ip_bytes, headers.payload_start(bytes));
    let above_min = if protocol == TCP { 20 } else { 8 };
    let segment_bytes = usize::from(packet.offload.segment_bytes);
    if headers.protocol != protocol || start < above + above_min || segment_bytes == 0 {
        return None;
    }
    let (head, payload) = bytes.split_at(start);
    let id = u16::from_be_bytes([head[4], head[5]]);
    let count = payload.len().div_ceil(segment_bytes).max(1);
    for number in 0..count {
        let from = number * segment_bytes;
        let piece = &payload[from..(from + segment_bytes).min(payload.len())];
        let mut cut = Vec::with_capacity(start + piece.len());
        cut.extend_from_slice(head);
        cut.extend_from_slice(piece);
        let total = cut.len() as u16;
        cut[2..4].copy_from_slice(&total.to_be_bytes());
        cut[4..6].copy_from_slice(&id.wrapping_add(number as u16).to_be_bytes());
        set_checksum(&mut cut, 0..above, 10, 0);
        if protocol == TCP {
            place_in_sequence(&mut cut[above..], from as u32, number == 0, number + 1 == count);
        } else {
            let length = total - above as u16;
            cut[above + 4..above + 6].copy_from_slice(&length.to_be_bytes());
        }
        let begin = pseudo_header(&cut, protocol, cut.len() - above);
        let (at, end) = (if protocol == TCP { 16 } else { 6 }, cut.len());
        set_checksum(&mut cut, above..end, at, begin);
        if protocol == UDP && cut[above + 6..above + 8] == [0, 0] {
            cut[above + 6..above + 8].copy_from_slice(&[0xff, 0xff]);
        }
        out(Packet { offload: Offload::default(), bytes: cut });
    }
    Some(())
}

/// The sequence number and the flags of one segment of many.
fn place_in_sequence(tcp: &mut [u8], from: u32, is_first: bool, is_last: bool) {
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(from);
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    if !is_last {
        tcp[13] &= !(FIN | PSH);
    }
    if !is_first {
        tcp[13] &= !CWR;
    }
}

fn set_checksum(bytes: &mut [u8], range: core::ops::Range<usize>, at: usize, begin: u32) {
    let field = range.start + at..range.start + at + 2;
    bytes[field.clone()].fill(0);
    let value = checksum(&bytes[range], begin);
    bytes[field].copy_from_slice(&value.to_be_bytes());
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet as a host leaves it to its device.
    fn unfinished(protocol: u8, payload: &[u8], segment_bytes: u16) -> Packet {
        let above_bytes = if protocol == TCP { 32 } else { 8 };
        let mut bytes = vec![0; 20 + above_bytes];
        bytes[0] = 0x45;
        bytes[4..6].copy_from_slice(&0xfffe_u16.to_be_bytes());
        bytes[9] = protocol;
        bytes[12..20].copy_from_slice(&[10, 77, 0, 1, 10, 77, 0, 2]);
        if protocol == TCP {
            bytes[24..28].copy_from_slice(&0xffff_ff00_u32.to_be_bytes());
            bytes[32] = 8 << 4;
            bytes[33] = FIN | PSH | CWR | 0x10;
        }
        bytes.extend_from_slice(payload);
        let total = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        if protocol == UDP {
            bytes[24..26].copy_from_slice(&(total - 20).to_be_bytes());
        }
        let offset = if protocol == TCP { 16 } else { 6 };
        let begin = pseudo_header(&bytes, protocol, bytes.len() - 20) as u64;
        let begin = ((begin & 0xffff) + (begin >> 16)) as u16;
        bytes[20 + offset..22 + offset].copy_from_slice(&begin.to_be_bytes());
        set_checksum(&mut bytes, 0..20, 10, 0);
        let gso_type = match (segment_bytes, protocol) {
            (0, _) => NOT_SUPER,
            (_, TCP) => SUPER_TCP4,
            _ => SUPER_UDP,
        };
        let offload = Offload {
            needs_checksum: true,
            checksum_start: 20,
            checksum_offset: offset as u16,
            gso_type,
            segment_bytes,
        };
        Packet { offload, bytes }
    }

    fn pieces(packet: Packet) -> Vec<Packet> {
        let mut all = Vec::new();
        assert!(cut(packet, |piece| all.push(piece)));
        all
    }

    fn is_sound(packet: &Packet) -> bool {
        let bytes = &packet.bytes;
        let begin = pseudo_header(bytes, bytes[9], bytes.len() - 20);
        sum(&bytes[..20], 0) == 0xffff && sum(&bytes[20..], begin) == 0xffff
    }

    proptest! {
        #[test]
        fn every_piece_is_sound_and_nothing_is_lost(
            payload in prop::collection::vec(any::<u8>(), 1..5000),
            segment_bytes in 1_u16..2000,
            tcp in any::<bool>(),
        ) {
            let protocol = if tcp { TCP } else { UDP };
            let start = if tcp { 52 } else { 28 };
            let all = pieces(unfinished(protocol, &payload, segment_bytes));
            let mut joined = Vec::new();
            for (number, piece) in all.iter().enumerate() {
                prop_assert!(is_sound(piece));
                prop_assert!(piece.offload.is_done());
                prop_assert_eq!(usize::from(u16::from_be_bytes([piece.bytes[2], piece.bytes[3]])), piece.bytes.len());
                let id = u16::from_be_bytes([piece.bytes[4], piece.bytes[5]]);
                prop_assert_eq!(id, 0xfffe_u16.wrapping_add(number as u16));
                if tcp {
                    let seq = u32::from_be_bytes([piece.bytes[24], piece.bytes[25], piece.bytes[26], piece.bytes[27]]);
                    prop_assert_eq!(seq, 0xffff_ff00_u32.wrapping_add(joined.len() as u32));
                }
                joined.extend_from_slice(&piece.bytes[start..]);
            }
            prop_assert_eq!(joined, payload);
        }

        #[test]
        fn a_packet_for_itself_gets_its_checksum(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let all = pieces(unfinished(UDP, &payload, 0));
            prop_assert_eq!(all.len(), 1);
            prop_assert!(is_sound(&all[0]));
        }

        #[test]
        fn any_bytes_are_cut_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            head in any::<bool>(),
            gso_type in any::<u8>(),
            segment_bytes in any::<u16>(),
            checksum_start in any::<u16>(),
            checksum_offset in any::<u16>(),
        ) {
            let mut bytes = bytes;
            if head && let Some(first) = bytes.first_mut() {
                *first = 0x45;
            }
            let offload = Offload { needs_checksum: true, checksum_start, checksum_offset, gso_type, segment_bytes };
            cut(Packet { offload, bytes }, |_| {});
        }
    }

    #[test]
    fn flags_stand_where_they_belong() {
        let all = pieces(unfinished(TCP, &[7; 300], 100));
        let flags: Vec<u8> = all.iter().map(|piece| piece.bytes[33]).collect();
        assert_eq!(flags, [CWR | 0x10, 0x10, FIN | PSH | 0x10]);
    }
}
