//! Frames into RTP payloads, once for all viewers.

pub(in crate::rtp) mod aac;
pub(in crate::rtp) mod av1;
pub(in crate::rtp) mod g711;
pub(in crate::rtp) mod h264;
pub(in crate::rtp) mod h265;
pub(in crate::rtp) mod jpeg;
mod nal;
pub(in crate::rtp) mod opus;
mod sdp;
pub(in crate::rtp) mod vp8;
pub(in crate::rtp) mod vp9;

use bytes::{Bytes, BytesMut};
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId};

use super::{Header, VIDEO_CLOCK_HZ};

pub use jpeg::JpegRefusal;
pub use sdp::{SdpAttributes, sdp_attributes};

/// The size of the largest RTP packet unless another is asked for, RTP header included.
///
/// With IPv6 and UDP headers it is a packet of 1,448 bytes, which leaves an Ethernet frame room
/// for SRTP's tag and for a few header extensions.
pub const PACKET_BYTES_MAX: usize = 1_400;
/// The smallest limit that a packer takes.
pub const PACKET_BYTES_LEAST: usize = 64;
/// The greatest limit that a packer takes: the largest UDP payload over IPv4.
pub const PACKET_BYTES_MOST: usize = 65_507;

/// One packet's payload as a part of [`Packed::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts.
    pub start: u32,
    /// How long it is, payload headers included, RTP header not.
    pub len: u16,
    /// The packet bears the marker bit: the last of a frame, but of Opus and G.711.
    pub marker: bool,
}

/// A frame as RTP payloads: what every viewer's packets have in common.
///
/// The pieces lie in `bytes` one behind the other without gaps, in the order in which they are
/// sent. All packets of a frame bear one time stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The track that the frame belongs to.
    pub track: TrackId,
    /// `pts` in ticks of the RTP clock ([`Packer::clock_rate_hz`]), not wrapped; a viewer's time
    /// stamp is [`super::RtpTime::from_ticks`] of it.
    pub rtp_ticks: i64,
    /// When the frame is shown or heard.
    pub pts: MediaTime,
    /// When it is decoded, where that is known.
    pub dts: Option<MediaTime>,
    /// How long it lasts, where that is known.
    pub duration: Option<MediaTime>,
    /// Whether decoding can start here.
    pub key: KeyKind,
    /// The packets; never empty.
    pub pieces: Box<[Piece]>,
    /// What they consist of.
    pub bytes: Bytes,
}

impl Packed {
    /// The payload of a piece of this frame; empty for a piece that is not of this frame.
    #[inline]
    pub fn payload(&self, piece: Piece) -> &[u8] {
        let start = piece.start as usize;
        self.bytes.get(start..start + usize::from(piece.len)).unwrap_or(&[])
    }

    /// The pieces from number `first` on, cut into trains: see [`trains`].
    pub fn trains(&self, first: usize, segments_max: usize) -> impl Iterator<Item = &[Piece]> {
        trains(self.pieces.get(first..).unwrap_or(&[]), segments_max)
    }
}

/// Cuts pieces into runs that can leave in one send with segmentation offload: all of one size
/// but the last, which may be smaller; at most `segments_max` (at least 1) in a run.
///
/// A whole frame of one NAL unit that was fragmented, or of one packet, is one run (but for
/// `segments_max`). A key frame is two: its parameter sets, aggregated with what else is small,
/// go before the fragments of its picture. Each further slice that does not fill its last
/// fragment exactly adds a run.
pub fn trains(pieces: &[Piece], segments_max: usize) -> impl Iterator<Item = &[Piece]> {
    let mut rest = pieces;
    core::iter::from_fn(move || {
        let size = rest.first()?.len;
        let same = rest.iter().take(segments_max.max(1)).take_while(|p| p.len == size).count();
        let last_is_smaller =
            same < segments_max.max(1) && rest.get(same).is_some_and(|p| p.len < size);
        let (train, behind) = rest.split_at(same + usize::from(last_is_smaller));
        rest = behind;
        Some(train)
    })
}

/// Packs the frames of one track.
#[derive(Clone, Debug)]
pub struct Packer {
    track: TrackId,
    clock_rate_hz: u32,
    payload_bytes_max: usize,
    format: Format,
}

#[derive(Clone, Debug)]
enum Format {
    H264(h264::Packer),
    H265(h265::Packer),
    Vp8,
    Vp9,
    Av1(av1::Packer),
    Aac,
    Jpeg(jpeg::Packer),
    Opus,
    G711,
}

impl Packer {
    /// A packer whose RTP packets are at most `packet_bytes_max` bytes long, RTP header
    /// included; [`PACKET_BYTES_MAX`] is the usual one.
    ///
    /// # Errors
    /// When the limit is out of range or the codec has no payload format here.
    pub fn new(track: &Track, packet_bytes_max: usize) -> Result<Self, Error> {
        if !(PACKET_BYTES_LEAST..=PACKET_BYTES_MOST).contains(&packet_bytes_max) {
            return Err(Error::PacketSize { bytes: packet_bytes_max });
        }
        let format = match &track.codec {
            Codec::H264(config) => Format::H264(h264::packer(config)),
            Codec::H265(config) => Format::H265(h265::packer(config)),
            Codec::Vp8(_) => Format::Vp8,
            Codec::Vp9(_) => Format::Vp9,
            Codec::Av1(config) => Format::Av1(av1::Packer::new(config)),
            Codec::Aac(_) => Format::Aac,
            Codec::Jpeg(config) => Format::Jpeg(jpeg::Packer::new(config)?),
            Codec::Opus(config) if config.channels > 2 => {
                return Err(Error::OpusChannels { channels: config.channels });
            }
            Codec::Opus(_) => Format::Opus,
            Codec::G711(_) => Format::G711,
            other => return Err(Error::Codec { name: other.name() }),
        };
        Ok(Packer {
            track: track.id,
            clock_rate_hz: clock_rate_hz(&track.codec)?,
            payload_bytes_max: packet_bytes_max - Header::BYTES,
            format,
        })
    }

    /// Ticks a second of the track's RTP clock: 90,000 for pictures, 48,000 for Opus, the sampling
    /// rate for other sound.
    pub fn clock_rate_hz(&self) -> u32 {
        self.clock_rate_hz
    }

    /// NAL units left out so far because RTP has no way to carry them: of H.264 the types 0 and
    /// 24 to 31, which RFC 6184 uses for itself, of H.265 those from 48 on, which RFC 7798 does.
    pub fn nal_units_dropped(&self) -> u64 {
        match &self.format {
            Format::H264(packer) => packer.nal_units_dropped,
            Format::H265(packer) => packer.nal_units_dropped,
            _ => 0,
        }
    }

    /// Images so far whose data broke off or could not be read, and of which only the rows before
    /// were sent.
    pub fn images_damaged(&self) -> u64 {
        match &self.format {
            Format::Jpeg(packer) => packer.images_damaged,
            _ => 0,
        }
    }

    /// Packs one frame of this track.
    ///
    /// # Errors
    /// When the payload is not what the codec says. The packer can go on with the next frame.
    pub fn pack(&mut self, frame: &Frame) -> Result<Packed, Error> {
        self.pack_into(frame, &mut BytesMut::new())
    }

    /// Packs one frame of this track into `room`, which is empty: into its capacity, if that is
    /// enough, so that many frames can share one allocation. What is left of it stays.
    ///
    /// # Errors
    /// When the payload is not what the codec says. The packer can go on with the next frame.
    pub fn pack_into(&mut self, frame: &Frame, room: &mut BytesMut) -> Result<Packed, Error> {
        // Payload headers add far less than a fourth; positions are counted in 32 bits.
        if frame.payload.len() > FRAME_BYTES_MAX {
            return Err(Error::FrameSize { bytes: frame.payload.len() });
        }
        let mut out = Pieces::in_room(room, frame.payload.len(), self.payload_bytes_max);
        match &mut self.format {
            Format::H264(packer) => packer.pack(frame, self.payload_bytes_max, &mut out)?,
            Format::H265(packer) => packer.pack(frame, self.payload_bytes_max, &mut out)?,
            Format::Vp8 => vp8::pack(&frame.payload, self.payload_bytes_max, &mut out)?,
            Format::Vp9 => vp9::pack(frame, self.payload_bytes_max, &mut out)?,
            Format::Av1(packer) => packer.pack(frame, self.payload_bytes_max, &mut out)?,
            Format::Aac => aac::pack(&frame.payload, self.payload_bytes_max, &mut out)?,
            Format::Jpeg(packer) => {
                packer.pack(&frame.payload, self.payload_bytes_max, &mut out)?
            }
            Format::Opus => opus::pack(&frame.payload, self.payload_bytes_max, &mut out)?,
            Format::G711 => g711::pack(&frame.payload, self.payload_bytes_max, &mut out)?,
        }
        let last = out.pieces.last_mut().ok_or(Error::Empty)?;
        // On these it tells the start of a talk spurt after silence (RFC 3551 section 4.1, RFC 7587
        // section 4.1), and there is no silence left out here.
        last.marker = !matches!(self.format, Format::Opus | Format::G711);
        let bytes = out.bytes.split().freeze();
        *room = out.bytes;
        Ok(Packed {
            track: self.track,
            rtp_ticks: frame.pts.to_ticks(self.clock_rate_hz),
            pts: frame.pts,
            dts: frame.dts,
            duration: frame.duration,
            key: frame.key,
            pieces: out.pieces.into_boxed_slice(),
            bytes,
        })
    }
}

/// Ticks a second of the RTP clock of a codec.
///
/// # Errors
/// When the codec has no payload format here, or its sampling rate is zero.
pub fn clock_rate_hz(codec: &Codec) -> Result<u32, Error> {
    match codec {
        Codec::H264(_) | Codec::H265(_) => Ok(VIDEO_CLOCK_HZ),
        Codec::Vp8(_) | Codec::Vp9(_) | Codec::Av1(_) => Ok(VIDEO_CLOCK_HZ),
        Codec::Aac(config) if config.sample_rate_hz == 0 => Err(Error::SampleRate),
        Codec::Aac(config) => Ok(config.sample_rate_hz),
        Codec::Jpeg(_) => Ok(VIDEO_CLOCK_HZ),
        Codec::Opus(_) => Ok(weir_media::opus::CLOCK_RATE_HZ),
        Codec::G711(config) if config.sample_rate_hz == 0 => Err(Error::SampleRate),
        Codec::G711(config) => Ok(config.sample_rate_hz),
        other => Err(Error::Codec { name: other.name() }),
    }
}

/// Why a track or a frame cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The limit for packets is out of range.
    #[error(
        "RTP packets of at most {bytes} bytes were asked for: expected {PACKET_BYTES_LEAST} to \
         {PACKET_BYTES_MOST}"
    )]
    PacketSize {
        /// The limit asked for.
        bytes: usize,
    },
    /// No RTP payload format for this codec.
    #[error("RTP cannot carry {name} here")]
    Codec {
        /// The codec's name.
        name: &'static str,
    },
    /// The configuration of sound has no sampling rate.
    #[error("sound with a sampling rate of 0 Hz")]
    SampleRate,
    /// The frame holds nothing that can be sent.
    #[error("frame without content")]
    Empty,
    /// The frame is greater than any that is carried.
    #[error("frame of {bytes} bytes: at most {FRAME_BYTES_MAX} can be packed")]
    FrameSize {
        /// The size of the payload.
        bytes: usize,
    },
    /// An H.264 or H.265 access unit ends inside a NAL unit.
    #[error(
        "access unit of {bytes} bytes: the NAL unit at byte {at} says that it is {nal_bytes} \
         bytes long"
    )]
    NalUnit {
        /// Where its length stands.
        at: usize,
        /// The length that it says; 0 where the length itself is cut off.
        nal_bytes: usize,
        /// The size of the access unit.
        bytes: usize,
    },
    /// An AV1 temporal unit ends inside an open bitstream unit, or breaks its syntax.
    #[error("temporal unit of {bytes} bytes: not a row of open bitstream units")]
    Obu {
        /// The size of the temporal unit.
        bytes: usize,
    },
    /// A parameter set of the configuration does not fit the length fields of RTP.
    #[error("parameter set of {bytes} bytes: expected 1 to {}", u16::MAX)]
    ParameterSet {
        /// Its size.
        bytes: usize,
    },
    /// An AAC access unit greater than the 13-bit size of AAC-hbr (RFC 3640 section 3.3.6).
    #[error("AAC access unit of {bytes} bytes: AAC-hbr carries at most 8191")]
    AacSize {
        /// Its size.
        bytes: usize,
    },
    /// JPEG images that RFC 2435 has no place for.
    #[error("RTP (RFC 2435) cannot carry {0}")]
    Jpeg(#[from] JpegRefusal),
    /// An image that cannot be read.
    #[error(transparent)]
    Image(#[from] weir_media::Error),
    /// Opus in a mapping that RFC 7587 does not know.
    #[error("RTP (RFC 7587) carries Opus of one or two channels, these are {channels}")]
    OpusChannels {
        /// Its channels.
        channels: u8,
    },
    /// A frame of sound that may not be cut, and does not fit a packet.
    #[error(
        "{codec} frame of {bytes} bytes: one RTP packet has to hold it, which holds {bytes_max} \
         here"
    )]
    SoundSize {
        /// The codec's name.
        codec: &'static str,
        /// The size of the frame.
        bytes: usize,
        /// What a packet holds.
        bytes_max: usize,
    },
}

/// The greatest payload that is packed: far above any frame in use.
pub const FRAME_BYTES_MAX: usize = 1 << 28;

/// A frame's payloads while they are written.
struct Pieces {
    bytes: BytesMut,
    pieces: Vec<Piece>,
}

impl Pieces {
    fn in_room(room: &mut BytesMut, frame_bytes: usize, payload_bytes_max: usize) -> Self {
        let packets = frame_bytes / payload_bytes_max + 2;
        let needed = frame_bytes + 4 * packets;
        let mut bytes = std::mem::take(room);
        if bytes.capacity() < needed {
            bytes = BytesMut::with_capacity(needed);
        }
        Pieces { bytes, pieces: Vec::with_capacity(packets) }
    }

    /// Adds one packet's payload: the parts one behind the other.
    fn push(&mut self, parts: &[&[u8]]) {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.end_piece(start);
    }

    /// Makes all that was written from `start` on one packet's payload.
    fn end_piece(&mut self, start: usize) {
        let len = self.bytes.len() - start;
        self.pieces.push(Piece {
            start: u32::try_from(start).expect("a frame is at most 2^28 bytes, its headers fewer"),
            len: u16::try_from(len).expect("a payload is at most 65,495 bytes"),
            marker: false,
        });
    }
}

/// The size of fragments when `bytes` are cut into as few as possible of at most `most` and
/// these are made equal; the last one may be smaller.
fn fragment_bytes(bytes: usize, most: usize) -> usize {
    bytes.div_ceil(bytes.div_ceil(most).max(1)).max(1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use weir_time::Instant;

    /// A frame at `pts` with nothing but a payload.
    pub(crate) fn frame(key: KeyKind, pts: MediaTime, payload: impl Into<Bytes>) -> Frame {
        Frame {
            track: TrackId(0),
            pts,
            dts: None,
            duration: None,
            key,
            capture: None,
            arrival: Instant::ZERO,
            discontinuity: false,
            payload: payload.into(),
        }
    }

    fn piece(len: u16) -> Piece {
        Piece { start: 0, len, marker: false }
    }

    #[test]
    fn a_train_ends_at_a_smaller_piece_and_before_a_larger_one() {
        let pieces = [20, 100, 100, 100, 60, 60, 50, 70].map(piece);
        let sizes = |most| {
            trains(&pieces, most)
                .map(|train| train.iter().map(|p| p.len).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        let whole = [vec![20], vec![100, 100, 100, 60], vec![60, 50], vec![70]];
        assert_eq!(sizes(10), whole);
        assert_eq!(sizes(3)[1..3], [vec![100, 100, 100], vec![60, 60, 50]]);
        assert_eq!(sizes(0).len(), 8);
        assert_eq!(trains(&[], 10).count(), 0);
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        let track = super::aac::tests::track();
        assert_eq!(Packer::new(&track, 63).unwrap_err(), Error::PacketSize { bytes: 63 });
        assert_eq!(Packer::new(&track, 65_508).unwrap_err(), Error::PacketSize { bytes: 65_508 });
    }

    #[test]
    fn times_are_counted_in_ticks_of_the_rtp_clock() {
        let mut packer = Packer::new(&super::aac::tests::track(), PACKET_BYTES_MAX).unwrap();
        let packed =
            packer.pack(&frame(KeyKind::Key, MediaTime::from_nanos(-500_000_000), &b"x"[..]));
        assert_eq!(packed.unwrap().rtp_ticks, -24_000);
        assert_eq!(packer.clock_rate_hz(), 48_000);
    }
}
