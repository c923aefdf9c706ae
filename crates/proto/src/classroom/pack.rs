//! Frames into datagrams: a whole image each.

use bytes::Bytes;
use weir_media::{Codec, Frame, Track};

use crate::rtp::Header;
use crate::rtp::pack::{Packed, Piece};

/// The largest UDP payload over IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// The largest image that a datagram holds behind its RTP header.
pub const IMAGE_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - Header::BYTES;
/// The receive buffer of many clients: what is longer they see cut off.
pub const RECEIVE_BYTES_USUAL: usize = 20_480;

/// Whether an image of so many bytes makes a datagram that many clients cannot take whole.
pub fn is_oversize(image_bytes: usize) -> bool {
    image_bytes + Header::BYTES > RECEIVE_BYTES_USUAL
}

/// Whether the frames of a track can be sent.
pub fn can_carry(track: &Track) -> bool {
    matches!(track.codec, Codec::Jpeg(_))
}

/// Packs one frame: one packet without marker, whose payload is the image itself, not copied.
///
/// Without any packet where no datagram holds the image, or where the frame is not of `track`.
/// The time stamp of a packet is not the frame's: `rtp_ticks` is 0.
pub fn pack(track: &Track, frame: &Frame) -> Packed {
    let image = &frame.payload;
    let fits = can_carry(track) && (1..=IMAGE_BYTES_MAX).contains(&image.len());
    let len = u16::try_from(image.len()).ok().filter(|_| fits);
    let piece = len.map(|len| Piece { start: 0, len, marker: false });
    Packed {
        track: frame.track,
        rtp_ticks: 0,
        pts: frame.pts,
        dts: frame.dts,
        duration: frame.duration,
        key: frame.key,
        pieces: piece.into_iter().collect(),
        bytes: if fits { image.clone() } else { Bytes::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::pack::tests::frame;
    use weir_media::{KeyKind, MediaTime, TrackId, jpeg};

    fn packed(bytes: usize) -> Packed {
        let codec = Codec::Jpeg(jpeg::Config { width: 16, height: 16, coding: None });
        let track = Track { id: TrackId(0), codec, clock_rate_hz: 90_000 };
        pack(&track, &frame(KeyKind::Key, MediaTime::ZERO, vec![7; bytes]))
    }

    #[test]
    fn an_image_is_one_packet_without_marker_and_without_a_copy() {
        let codec = Codec::Jpeg(jpeg::Config { width: 16, height: 16, coding: None });
        let track = Track { id: TrackId(0), codec, clock_rate_hz: 90_000 };
        let frame = frame(KeyKind::Key, MediaTime::ZERO, vec![7; 5_000]);
        let packed = pack(&track, &frame);
        assert_eq!(*packed.pieces, [Piece { start: 0, len: 5_000, marker: false }]);
        assert_eq!(packed.bytes.as_ptr(), frame.payload.as_ptr());
        assert_eq!(packed.payload(packed.pieces[0]), &frame.payload[..]);
    }

    #[test]
    fn an_image_that_no_datagram_holds_is_no_packet() {
        assert_eq!(packed(IMAGE_BYTES_MAX).pieces.len(), 1);
        assert!(packed(IMAGE_BYTES_MAX + 1).pieces.is_empty());
        assert!(packed(0).pieces.is_empty());
    }

    #[test]
    fn an_image_is_oversize_when_the_usual_buffer_does_not_hold_it_with_its_header() {
        assert!(!is_oversize(20_468));
        assert!(is_oversize(20_469));
    }
}
