//! Payload types that stand for something without a word in a session description (RFC 3551
//! section 6).

use weir_media::Codec;
use weir_media::g711::Law;

/// What a static payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticType {
    /// The encoding's name.
    pub encoding: &'static str,
    /// Ticks a second of the RTP clock.
    pub clock_rate_hz: u32,
    /// Channels, for sound that has more than one.
    pub channels: Option<u8>,
}

impl StaticType {
    /// What a payload type stands for where nobody says otherwise (RFC 3551 tables 4 and 5);
    /// `None` for the dynamic and the reserved ones.
    pub fn of(payload_type: u8) -> Option<StaticType> {
        let found = TYPES.iter().find(|(number, ..)| *number == payload_type);
        found.map(|&(_, encoding, clock_rate_hz, channels)| {
            let channels = Some(channels).filter(|&channels| channels > 1);
            StaticType { encoding, clock_rate_hz, channels }
        })
    }
}

/// The static payload type of a codec, where it has one: G.711 at 8 kHz in mono, and JPEG.
pub fn static_payload_type(codec: &Codec) -> Option<u8> {
    match codec {
        Codec::G711(config) if (config.sample_rate_hz, config.channels) == (8_000, 1) => {
            Some(match config.law {
                Law::Mu => 0,
                Law::A => 8,
            })
        }
        Codec::Jpeg(_) => Some(26),
        _ => None,
    }
}

const TYPES: [(u8, &str, u32, u8); 24] = [
    (0, "PCMU", 8_000, 1),
    (3, "GSM", 8_000, 1),
    (4, "G723", 8_000, 1),
    (5, "DVI4", 8_000, 1),
    (6, "DVI4", 16_000, 1),
    (7, "LPC", 8_000, 1),
    (8, "PCMA", 8_000, 1),
    (9, "G722", 8_000, 1),
    (10, "L16", 44_100, 2),
    (11, "L16", 44_100, 1),
    (12, "QCELP", 8_000, 1),
    (13, "CN", 8_000, 1),
    (14, "MPA", 90_000, 1),
    (15, "G728", 8_000, 1),
    (16, "DVI4", 11_025, 1),
    (17, "DVI4", 22_050, 1),
    (18, "G729", 8_000, 1),
    (25, "CelB", 90_000, 1),
    (26, "JPEG", 90_000, 1),
    (28, "nv", 90_000, 1),
    (31, "H261", 90_000, 1),
    (32, "MPV", 90_000, 1),
    (33, "MP2T", 90_000, 1),
    (34, "H263", 90_000, 1),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::pack;

    #[test]
    fn a_codec_with_a_static_type_is_what_that_type_stands_for() {
        let g711 = |law, rate_hz, channels| pack::g711::tests::track(law, rate_hz, channels).codec;
        for (law, expected) in [(Law::Mu, 0), (Law::A, 8)] {
            let payload_type = static_payload_type(&g711(law, 8_000, 1)).unwrap();
            let StaticType { encoding, clock_rate_hz, .. } = StaticType::of(payload_type).unwrap();
            assert_eq!((payload_type, clock_rate_hz), (expected, 8_000));
            assert_eq!(encoding, if law == Law::A { "PCMA" } else { "PCMU" });
        }
        assert_eq!(static_payload_type(&g711(Law::A, 16_000, 1)), None);
        assert_eq!(static_payload_type(&g711(Law::A, 8_000, 2)), None);
        assert_eq!(StaticType::of(96), None);
        assert_eq!(StaticType::of(10).unwrap().channels, Some(2));
    }
}
