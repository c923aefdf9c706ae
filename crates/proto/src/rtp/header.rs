//! The RTP header (RFC 3550 section 5.1).

use super::{RtpTime, SequenceNumber, Ssrc};

/// The fixed header of a packet without padding, extension or contributing sources.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
/// |                           timestamp                           |
/// |                             SSRC                              |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The end of an access unit, for the payload formats carried here.
    pub marker: bool,
    /// What the payload is, 0 to 127; the eighth bit is not sent.
    pub payload_type: u8,
    /// The packet's number.
    pub sequence: SequenceNumber,
    /// The sampling instant of the payload.
    pub time: RtpTime,
    /// Who sends.
    pub ssrc: Ssrc,
}

impl Header {
    /// The size of the header.
    pub const BYTES: usize = 12;
    /// The size of the header behind the four bytes of interleaving.
    pub const INTERLEAVED_BYTES: usize = 16;

    /// Writes the header.
    #[inline]
    pub fn write(&self, out: &mut [u8; Header::BYTES]) {
        out[0] = VERSION << 6;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.sequence.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.time.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
    }

    /// Writes the header of a packet with `payload_bytes` of payload on an interleaved channel
    /// (RFC 2326 section 10.12): a dollar sign, the channel, and the packet's length.
    ///
    /// `payload_bytes` is at most 65,523; packers keep to that.
    #[inline]
    pub fn write_interleaved(
        &self,
        channel: u8,
        payload_bytes: u16,
        out: &mut [u8; Header::INTERLEAVED_BYTES],
    ) {
        let mut header = [0; Header::BYTES];
        self.write(&mut header);
        out[0] = b'$';
        out[1] = channel;
        let length = payload_bytes.saturating_add(Header::BYTES as u16);
        out[2..4].copy_from_slice(&length.to_be_bytes());
        out[4..].copy_from_slice(&header);
    }
}

/// A packet that came: its header and what stands where in it. Borrows the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// How many contributing sources it names, 0 to 15.
    pub csrc_count: u8,
    /// The header extension.
    pub extension: Option<Extension<'a>>,
    /// The payload, without padding.
    pub payload: &'a [u8],
}

/// A header extension (RFC 3550 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The first sixteen bits, which the profile defines.
    pub profile: u16,
    /// The content: whole 32-bit words.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// When `bytes` is shorter than its own header says, is not of version 2, or has padding
    /// longer than its payload.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let short = |needed| Error::Short { needed, bytes: bytes.len() };
        let (fixed, mut rest) =
            bytes.split_first_chunk::<{ Header::BYTES }>().ok_or(short(Header::BYTES))?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != VERSION {
            return Err(Error::Version { version: first >> 6 });
        }
        let csrc_count = first & 0x0f;
        let csrc_bytes = 4 * usize::from(csrc_count);
        rest = rest.get(csrc_bytes..).ok_or(short(Header::BYTES + csrc_bytes))?;
        let mut extension = None;
        if first & 0x10 != 0 {
            let at = bytes.len() - rest.len();
            let ([p0, p1, n0, n1], data) = rest.split_first_chunk::<4>().ok_or(short(at + 4))?;
            let data_bytes = 4 * usize::from(u16::from_be_bytes([*n0, *n1]));
            let (data, behind) =
                data.split_at_checked(data_bytes).ok_or(short(at + 4 + data_bytes))?;
            extension = Some(Extension { profile: u16::from_be_bytes([*p0, *p1]), data });
            rest = behind;
        }
        if first & 0x20 != 0 {
            rest = without_padding(rest)?;
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: SequenceNumber(u16::from_be_bytes([s0, s1])),
            time: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
        };
        Ok(Packet { header, csrc_count, extension, payload: rest })
    }
}

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The packet ends inside its header.
    #[error("RTP packet of {bytes} bytes: its header needs at least {needed}")]
    Short {
        /// The least length that the header asks for.
        needed: usize,
        /// The length that came.
        bytes: usize,
    },
    /// Another version of RTP, or no RTP at all.
    #[error("RTP packet of version {version}: expected version 2")]
    Version {
        /// The version in the first two bits.
        version: u8,
    },
    /// The padding count is zero or greater than what follows the header.
    #[error("RTP packet with {padding} bytes of padding in {payload} bytes of payload")]
    Padding {
        /// What the last byte says.
        padding: u8,
        /// What follows the header.
        payload: usize,
    },
}

/// The version that RFC 3550 defines.
const VERSION: u8 = 2;

fn without_padding(payload: &[u8]) -> Result<&[u8], Error> {
    let padding = payload.last().copied().unwrap_or(0);
    match payload.len().checked_sub(usize::from(padding)) {
        Some(kept) if padding > 0 => Ok(&payload[..kept]),
        _ => Err(Error::Padding { padding, payload: payload.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 96,
        sequence: SequenceNumber(0x0102),
        time: RtpTime(0x0304_0506),
        ssrc: Ssrc(0x0708_090a),
    };

    #[test]
    fn the_header_stands_byte_for_byte_as_in_section_5_1() {
        let mut out = [0; 12];
        HEADER.write(&mut out);
        assert_eq!(out, [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn an_interleaved_header_counts_the_rtp_header_in_its_length() {
        let mut out = [0; 16];
        HEADER.write_interleaved(2, 1000, &mut out);
        assert_eq!(out[..4], [b'$', 2, 0x03, 0xf4]);
        assert_eq!(Packet::parse(&out[4..]).unwrap().header, HEADER);
    }

    #[test]
    fn sources_extension_and_padding_are_not_payload() {
        let mut bytes = vec![0xb2, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([9; 8]);
        bytes.extend([0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
        bytes.extend(b"payload");
        bytes.extend([0, 0, 3]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload, b"payload");
        assert_eq!(packet.csrc_count, 2);
        assert_eq!(packet.extension, Some(Extension { profile: 0xbede, data: &[5; 4] }));
    }

    #[test]
    fn each_way_to_be_too_short_says_what_was_needed() {
        let with_first = |first: u8, len: usize| {
            let mut bytes = vec![0; len];
            bytes[0] = first;
            bytes
        };
        let refusal = |bytes: &[u8]| Packet::parse(bytes).unwrap_err();
        assert_eq!(refusal(&[0x80; 11]), Error::Short { needed: 12, bytes: 11 });
        assert_eq!(refusal(&with_first(0x8f, 71)), Error::Short { needed: 72, bytes: 71 });
        assert_eq!(refusal(&with_first(0x90, 12)), Error::Short { needed: 16, bytes: 12 });
        assert_eq!(refusal(&with_first(0x40, 12)), Error::Version { version: 1 });
        assert_eq!(refusal(&with_first(0xa0, 12)), Error::Padding { padding: 0, payload: 0 });
        let mut padded = with_first(0xa0, 14);
        padded[13] = 3;
        assert_eq!(refusal(&padded), Error::Padding { padding: 3, payload: 2 });
    }

    proptest! {
        #[test]
        fn a_written_header_is_read_back(
            marker: bool, payload_type in 0u8..128, sequence: u16, time: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let header = Header {
                marker,
                payload_type,
                sequence: SequenceNumber(sequence),
                time: RtpTime(time),
                ssrc: Ssrc(ssrc),
            };
            let mut bytes = [0; 12];
            header.write(&mut bytes);
            let bytes = [&bytes[..], &payload].concat();
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert_eq!(packet.header, header);
            prop_assert_eq!(packet.payload, &payload[..]);
        }
    }
}
