//! Opus (RFC 6716): its configuration, and how long a packet lasts.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Error;

/// The configuration of an Opus stream: an identification header (RFC 7845 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels that are heard: 1 mono, 2 stereo.
    pub channels: u8,
    /// Samples at 48 kHz to drop at the start.
    pub pre_skip: u16,
    /// Samples a second of what was encoded, for the record; 0 where that is not known.
    pub input_rate_hz: u32,
    /// Gain to apply, in 1/256 dB.
    pub gain: i16,
    /// Channel mapping family (RFC 7845 section 5.1.1), and behind it, but for family 0, the
    /// mapping table.
    pub mapping: Bytes,
}

/// Ticks a second of Opus's clock, whatever was encoded (RFC 7845 section 4).
pub const CLOCK_RATE_HZ: u32 = 48_000;

impl Config {
    /// One stream of one or two channels, of which nothing else is known.
    ///
    /// # Panics
    /// When there are not one or two channels.
    pub fn plain(channels: u8) -> Self {
        assert!(matches!(channels, 1 | 2), "mapping family 0 has one or two channels");
        let mapping = Bytes::from_static(&[0]);
        Config { channels, pre_skip: 0, input_rate_hz: 0, gain: 0, mapping }
    }

    /// Reads an identification header, `OpusHead` (RFC 7845 section 5.1).
    ///
    /// # Errors
    /// When it is none, or is cut off, or of a version to come.
    pub fn from_opus_head(head: &[u8]) -> Result<Self, Error> {
        let Some(fields) = head.strip_prefix(MAGIC) else {
            return Err(Error::syntax(HEAD, 0, "OpusHead expected"));
        };
        let Some((&[version, channels, s0, s1, r0, r1, r2, r3, g0, g1], mapping)) =
            fields.split_first_chunk::<10>()
        else {
            let reason = format!("{} bytes, at least 19 expected", head.len());
            return Err(Error::syntax(HEAD, head.len(), reason));
        };
        // The upper four bits count what breaks readers.
        if version >> 4 != 0 {
            return Err(Error::unsupported(HEAD, format!("version {version}")));
        }
        Ok(Config {
            channels,
            pre_skip: u16::from_le_bytes([s0, s1]),
            input_rate_hz: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([g0, g1]),
            mapping: read_mapping(HEAD, mapping, head.len() - mapping.len(), channels)?,
        })
    }

    /// Reads the content of a `dOps` box (Opus in ISO BMFF, section 4.3.2): the same, with
    /// numbers in big endian.
    ///
    /// # Errors
    /// As of [`Self::from_opus_head`].
    pub fn from_dops(content: &[u8]) -> Result<Self, Error> {
        let Some((&[version, channels, s0, s1, r0, r1, r2, r3, g0, g1], mapping)) =
            content.split_first_chunk::<10>()
        else {
            let reason = format!("{} bytes, at least 11 expected", content.len());
            return Err(Error::syntax(DOPS, content.len(), reason));
        };
        if version != 0 {
            return Err(Error::unsupported(DOPS, format!("version {version}")));
        }
        Ok(Config {
            channels,
            pre_skip: u16::from_be_bytes([s0, s1]),
            input_rate_hz: u32::from_be_bytes([r0, r1, r2, r3]),
            gain: i16::from_be_bytes([g0, g1]),
            mapping: read_mapping(DOPS, mapping, 10, channels)?,
        })
    }

    /// Writes an identification header.
    pub fn to_opus_head(&self) -> Bytes {
        let mut out = BytesMut::from(&MAGIC[..]);
        out.put_slice(&[1, self.channels]);
        out.put_u16_le(self.pre_skip);
        out.put_u32_le(self.input_rate_hz);
        out.put_i16_le(self.gain);
        out.put_slice(&self.mapping);
        out.freeze()
    }

    /// Writes the content of a `dOps` box.
    pub fn to_dops(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&[0, self.channels]);
        out.put_u16(self.pre_skip);
        out.put_u32(self.input_rate_hz);
        out.put_i16(self.gain);
        out.put_slice(&self.mapping);
        out.freeze()
    }

    /// The channel mapping family (RFC 7845 section 5.1.1): 0 for one or two channels in one
    /// stream.
    pub fn mapping_family(&self) -> u8 {
        self.mapping.first().copied().unwrap_or(0)
    }

    /// The codec's name in a `codecs` parameter (RFC 6381).
    pub fn codec_string(&self) -> &'static str {
        "opus"
    }
}

/// Family, and behind it stream count, coupled count and a byte for each channel.
fn read_mapping(
    what: &'static str,
    mapping: &[u8],
    at: usize,
    channels: u8,
) -> Result<Bytes, Error> {
    let bytes = match mapping.first() {
        None => return Err(Error::syntax(what, at, "it ends before the mapping family")),
        Some(0) if matches!(channels, 1 | 2) => 1,
        Some(0) => {
            let reason = format!("{channels} channels, 1 or 2 expected in mapping family 0");
            return Err(Error::syntax(what, at, reason));
        }
        Some(_) if channels == 0 => return Err(Error::syntax(what, at, "it has no channel")),
        Some(_) => 3 + usize::from(channels),
    };
    match mapping.get(..bytes) {
        Some(mapping) => Ok(Bytes::copy_from_slice(mapping)),
        None => {
            let reason = format!("a mapping of {bytes} bytes, {} are there", mapping.len());
            Err(Error::syntax(what, at, reason))
        }
    }
}

/// How many samples at 48 kHz a packet lasts: from its first bytes (RFC 6716 sections 3.1 and
/// 3.2). `None` if it breaks these rules: no byte, no frame, or more than 120 ms.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame_samples = match config {
        // SILK: 10, 20, 40 and 60 ms.
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10 and 20 ms.
        12..=15 => [480, 960][usize::from(config & 1)],
        // CELT: 2.5, 5, 10 and 20 ms.
        _ => 120 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frames * frame_samples;
    (1..=PACKET_SAMPLES_MAX).contains(&samples).then_some(samples)
}

const HEAD: &str = "Opus identification header";
const DOPS: &str = "dOps";
const MAGIC: &[u8; 8] = b"OpusHead";
/// 120 ms.
const PACKET_SAMPLES_MAX: u32 = 5_760;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_identification_header_reads_as_in_rfc_7845_section_5_1() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\x00\xff\0";
        let config = Config::from_opus_head(head).unwrap();
        let expected =
            Config { pre_skip: 312, input_rate_hz: 48_000, gain: -256, ..Config::plain(2) };
        assert_eq!(config, expected);
        assert_eq!(&config.to_opus_head()[..], head);
    }

    #[test]
    fn what_is_cut_off_or_contradicts_itself_is_an_error_that_names_the_place() {
        let head = b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\0";
        let message = Config::from_opus_head(head).unwrap_err().to_string();
        let expected = "Opus identification header, byte 18: 3 channels, 1 or 2 expected in \
                        mapping family 0";
        assert_eq!(message, expected);
        let message = Config::from_dops(&[0, 6, 1, 2, 0, 0, 0, 0, 0, 0, 1, 4, 2, 0]);
        let expected = "dOps, byte 10: a mapping of 9 bytes, 4 are there";
        assert_eq!(message.unwrap_err().to_string(), expected);
        assert!(Config::from_opus_head(b"OpusTags").is_err());
        assert!(Config::from_dops(&[0; 9]).is_err());
    }

    #[test]
    fn a_packet_lasts_as_its_first_byte_says() {
        // RFC 6716 table 2: configurations 1 (SILK, 20 ms), 3 (60 ms), 12 (hybrid, 10 ms),
        // 16 (CELT, 2.5 ms), 31 (20 ms).
        let samples = [1u8, 3, 12, 16, 31].map(|config| packet_samples(&[config << 3]));
        assert_eq!(samples, [960, 2_880, 480, 120, 960].map(Some));
        assert_eq!(packet_samples(&[31 << 3 | 1]), Some(1_920));
        assert_eq!(packet_samples(&[31 << 3 | 3, 6]), Some(5_760));
        assert_eq!(packet_samples(&[31 << 3 | 3, 7]), None);
        assert_eq!(packet_samples(&[31 << 3 | 3, 0]), None);
        assert_eq!(packet_samples(&[31 << 3 | 3]), None);
        assert_eq!(packet_samples(&[]), None);
    }

    proptest! {
        #[test]
        fn both_forms_return_the_configuration(
            channels in 1u8..=8, pre_skip: u16, input_rate_hz: u32, gain: i16,
        ) {
            let mut config = Config { channels, pre_skip, input_rate_hz, gain, ..Config::plain(1) };
            if channels > 2 {
                config.mapping = [&[1, channels, 0][..], &vec![7; channels.into()]].concat().into();
            }
            prop_assert_eq!(&Config::from_opus_head(&config.to_opus_head()).unwrap(), &config);
            prop_assert_eq!(&Config::from_dops(&config.to_dops()).unwrap(), &config);
        }
    }
}
