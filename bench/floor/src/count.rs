//! What a viewer got: bytes, packets, and the sequence numbers that did not come.

use crate::sys::Datagrams;

/// Counts of one viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes of RTP packets, or of the bare sender's stream with its share of framing.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// Sequence numbers passed over; one that comes late is taken off again.
    pub(crate) packets_missing: u64,
    /// Packets behind one with a higher sequence number.
    pub(crate) packets_disordered: u64,
    pub(crate) rtcp_packets: u64,
}

impl Counts {
    pub(crate) fn add_packets(&mut self, count: usize, bytes: usize) {
        self.packets += count as u64;
        self.bytes += bytes as u64;
    }
}

/// The sequence numbers of one RTP stream (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RtpStream {
    next: Option<u16>,
}

impl RtpStream {
    /// Counts a datagram, or several with consecutive numbers that came as one.
    pub(crate) fn take(&mut self, come: &Datagrams<'_>, counts: &mut Counts) {
        counts.add_packets(come.count, come.bytes);
        if let &[_, _, high, low, ..] = come.head {
            self.advance(u16::from_be_bytes([high, low]), come.count as u16, counts);
        }
    }

    fn advance(&mut self, sequence: u16, count: u16, counts: &mut Counts) {
        let ahead = sequence.wrapping_sub(self.next.unwrap_or(sequence)) as i16;
        if ahead < 0 {
            counts.packets_disordered += u64::from(count);
            counts.packets_missing = counts.packets_missing.saturating_sub(u64::from(count));
        } else {
            counts.packets_missing += u64::from(ahead.unsigned_abs());
            self.next = Some(sequence.wrapping_add(count));
        }
    }
}

/// Finds packets in an RTSP connection's bytes, however they are cut (RFC 2326 section 10.12).
#[derive(Debug, Default)]
pub(crate) struct Interleaved {
    state: State,
    /// By the even channel's half.
    streams: [RtpStream; TRACKS_MAX],
}

#[derive(Debug)]
enum State {
    /// The framing and the first bytes of the packet.
    Head { bytes: [u8; HEAD_BYTES], filled: usize },
    /// The rest of a packet.
    Body { rest: usize },
    /// A reply, up to its empty line: how much of the line end has come.
    Reply { matched: usize },
}

impl Default for State {
    fn default() -> State {
        State::Head { bytes: [0; HEAD_BYTES], filled: 0 }
    }
}

impl Interleaved {
    /// Counts the packets whose heads are in `come`; a packet's bytes count with its head.
    pub(crate) fn take(&mut self, mut come: &[u8], counts: &mut Counts) {
        while let Some((&first, behind)) = come.split_first() {
            match &mut self.state {
                State::Body { rest } => {
                    let taken = come.len().min(*rest);
                    *rest -= taken;
                    come = come.get(taken..).unwrap_or(&[]);
                    if *rest == 0 {
                        self.state = State::default();
                    }
                }
                State::Reply { matched } => {
                    come = behind;
                    let wanted = REPLY_END.get(*matched).copied();
                    *matched = match first {
                        byte if Some(byte) == wanted => *matched + 1,
                        b'\r' => 1,
                        _ => 0,
                    };
                    if *matched == REPLY_END.len() {
                        self.state = State::default();
                    }
                }
                State::Head { filled: 0, .. } if first != b'$' => {
                    self.state = State::Reply { matched: 0 };
                }
                State::Head { bytes, filled } => {
                    come = behind;
                    if let Some(slot) = bytes.get_mut(*filled) {
                        *slot = first;
                    }
                    *filled += 1;
                    if *filled == HEAD_BYTES {
                        let head = *bytes;
                        self.state = self.packet(head, counts);
                    }
                }
            }
        }
    }

    fn packet(&mut self, head: [u8; HEAD_BYTES], counts: &mut Counts) -> State {
        let [_, channel, length_high, length_low, rtp @ ..] = head;
        let packet_bytes = usize::from(u16::from_be_bytes([length_high, length_low]));
        if channel % 2 == 1 {
            counts.rtcp_packets += 1;
        } else if let Some(stream) = self.streams.get_mut(usize::from(channel / 2)) {
            let come = Datagrams { bytes: packet_bytes, count: 1, head: &rtp };
            stream.take(&come, counts);
        }
        match packet_bytes.saturating_sub(rtp.len()) {
            0 => State::default(),
            rest => State::Body { rest },
        }
    }
}

/// Four bytes of framing, and the four of the packet that end with the sequence number: no RTP or
/// RTCP packet is shorter.
const HEAD_BYTES: usize = 8;
const TRACKS_MAX: usize = 2;
const REPLY_END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(channel: u8, sequence: u16, bytes: u16) -> Vec<u8> {
        let mut packet = vec![b'$', channel];
        packet.extend(bytes.to_be_bytes());
        packet.extend([0x80, 96]);
        packet.extend(sequence.to_be_bytes());
        packet.resize(4 + usize::from(bytes), b'$');
        packet
    }

    #[test]
    fn packets_are_counted_however_the_bytes_are_cut() {
        let mut stream = packet(0, 65_535, 40);
        stream.extend(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n");
        stream.extend(packet(0, 0, 4));
        stream.extend(packet(1, 7, 28));
        stream.extend(packet(2, 10, 30));
        stream.extend(packet(0, 3, 12));
        let expected = Counts {
            bytes: 40 + 4 + 30 + 12,
            packets: 4,
            packets_missing: 2,
            packets_disordered: 0,
            rtcp_packets: 1,
        };
        for cut in 1..stream.len() {
            let (mut interleaved, mut counts) = (Interleaved::default(), Counts::default());
            for part in stream.chunks(cut) {
                interleaved.take(part, &mut counts);
            }
            assert_eq!(counts, expected, "cut into pieces of {cut}");
        }
    }

    #[test]
    fn a_late_packet_is_not_missing() {
        let (mut stream, mut counts) = (RtpStream::default(), Counts::default());
        for (sequence, count) in [(5, 10), (16, 1), (15, 1), (17, 1)] {
            stream.advance(sequence, count, &mut counts);
        }
        assert_eq!((counts.packets_missing, counts.packets_disordered), (0, 1));
    }
}
