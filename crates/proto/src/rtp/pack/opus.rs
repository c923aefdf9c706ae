//! Opus into RTP (RFC 7587).

use super::{Error, Pieces};

/// Packs one packet of Opus: one in each RTP packet, whole (section 4.2).
pub(super) fn pack(packet: &[u8], payload_bytes_max: usize, out: &mut Pieces) -> Result<(), Error> {
    if packet.is_empty() {
        return Err(Error::Empty);
    }
    if packet.len() > payload_bytes_max {
        let (codec, bytes) = ("Opus", packet.len());
        return Err(Error::SoundSize { codec, bytes, bytes_max: payload_bytes_max });
    }
    out.push(&[packet]);
    Ok(())
}

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packer, sdp_attributes, tests::frame};
    use super::*;
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, opus};

    pub(in crate::rtp) fn track(channels: u8) -> Track {
        let codec = Codec::Opus(opus::Config::plain(channels));
        Track { id: TrackId(0), codec, clock_rate_hz: 48_000 }
    }

    #[test]
    fn a_packet_goes_as_it_is_without_the_marker_of_a_talk_spurt() {
        let mut packer = Packer::new(&track(2), PACKET_BYTES_MAX).unwrap();
        let packed = packer
            .pack(&frame(KeyKind::Key, MediaTime::from_nanos(20_000_000), &b"\xfcab"[..]))
            .unwrap();
        assert_eq!((&packed.bytes[..], packed.rtp_ticks), (&b"\xfcab"[..], 960));
        assert_eq!(packed.pieces.iter().map(|piece| piece.marker).collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn packets_that_no_rtp_packet_holds_are_refused() {
        let mut packer = Packer::new(&track(2), PACKET_BYTES_MAX).unwrap();
        let mut pack = |bytes| packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, vec![0; bytes]));
        assert!(pack(1_388).is_ok());
        assert_eq!(
            pack(1_389).unwrap_err().to_string(),
            "Opus frame of 1389 bytes: one RTP packet has to hold it, which holds 1388 here"
        );
        assert_eq!(pack(0).unwrap_err(), Error::Empty);
    }

    #[test]
    fn the_rate_and_the_channels_of_the_map_are_always_those_of_rfc_7587_section_7() {
        let texts = [1, 2].map(|channels| sdp_attributes(&track(channels), 97).unwrap());
        assert_eq!(texts.each_ref().map(|t| t.rtpmap.as_str()), ["97 opus/48000/2"; 2]);
        let fmtps = texts.map(|t| t.fmtp);
        let expected = ["97 sprop-stereo=0", "97 sprop-stereo=1"];
        assert_eq!(fmtps.map(Option::unwrap), expected);
    }

    #[test]
    fn more_than_two_channels_are_refused() {
        let mut track = track(2);
        if let Codec::Opus(config) = &mut track.codec {
            config.channels = 6;
        }
        assert_eq!(
            Packer::new(&track, PACKET_BYTES_MAX).unwrap_err().to_string(),
            "RTP (RFC 7587) carries Opus of one or two channels, these are 6"
        );
    }
}
