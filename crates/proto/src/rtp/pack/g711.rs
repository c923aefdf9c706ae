//! G.711 into RTP (RFC 3551 section 4.5.14).

use super::{Error, Pieces};

/// Packs a run of samples into one packet: what comes later has a time stamp of its own.
pub(super) fn pack(
    samples: &[u8],
    payload_bytes_max: usize,
    out: &mut Pieces,
) -> Result<(), Error> {
    if samples.is_empty() {
        return Err(Error::Empty);
    }
    if samples.len() > payload_bytes_max {
        let (codec, bytes) = ("G.711", samples.len());
        return Err(Error::SoundSize { codec, bytes, bytes_max: payload_bytes_max });
    }
    out.push(&[samples]);
    Ok(())
}

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packer, sdp_attributes, tests::frame};
    use super::*;
    use weir_media::g711::{Config, Law};
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId};

    pub(in crate::rtp) fn track(law: Law, sample_rate_hz: u32, channels: u8) -> Track {
        let codec = Codec::G711(Config { law, sample_rate_hz, channels });
        Track { id: TrackId(0), codec, clock_rate_hz: sample_rate_hz }
    }

    #[test]
    fn a_run_of_samples_goes_as_it_is() {
        let mut packer = Packer::new(&track(Law::Mu, 8_000, 1), PACKET_BYTES_MAX).unwrap();
        let at = MediaTime::from_nanos(1_000_000_000);
        let packed = packer.pack(&frame(KeyKind::Key, at, vec![5; 160])).unwrap();
        assert_eq!((packed.bytes.len(), packed.rtp_ticks), (160, 8_000));
        assert_eq!((packed.pieces.len(), packed.pieces[0].marker), (1, false));
        let large = packer.pack(&frame(KeyKind::Key, at, vec![5; 1_389]));
        assert!(matches!(large, Err(Error::SoundSize { codec: "G.711", .. })));
    }

    #[test]
    fn the_map_says_law_rate_and_channels() {
        let text =
            |law, rate, channels| sdp_attributes(&track(law, rate, channels), 0).unwrap().rtpmap;
        assert_eq!(text(Law::Mu, 8_000, 1), "0 PCMU/8000");
        assert_eq!(text(Law::A, 16_000, 2), "0 PCMA/16000/2");
    }
}
