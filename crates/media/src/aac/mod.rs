//! AAC: the audio specific configuration.

mod adts;

use bytes::Bytes;

use crate::{Error, MediaTime, bits::BitReader};

pub use adts::AdtsHeader;

/// The configuration of an AAC stream.
///
/// Where spectral band replication (HE-AAC) is signalled, the decoder puts out twice the samples
/// at twice the rate; `sample_rate_hz` and `frame_samples` are those of the core, so that a frame
/// lasts `frame_samples / sample_rate_hz` seconds in every case. [`Config::output_rate_hz`] is
/// the rate that is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) as it came.
    pub asc: Bytes,
    /// Audio object type: 2 for AAC-LC, 5 or 29 where HE-AAC is signalled first.
    pub object_type: u8,
    /// Samples a second of the core coder.
    pub sample_rate_hz: u32,
    /// Channels: 1 mono, 2 stereo.
    pub channels: u8,
    /// Samples in a frame: 1024, or 960.
    pub frame_samples: u16,
}

impl Config {
    /// Reads an AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).
    pub fn from_asc(asc: &[u8]) -> Result<Self, Error> {
        Ok(Parsed::read(asc)?.config)
    }

    /// The configuration of AAC-LC without extensions.
    pub fn lc(sample_rate_hz: u32, channels: u8) -> Result<Self, Error> {
        let channel_config = match channels {
            1..=6 => channels,
            8 => 7,
            _ => return Err(Error::unsupported(WHAT, format!("{channels} channels"))),
        };
        let asc = match RATES_HZ.iter().position(|&rate| rate == sample_rate_hz) {
            Some(index) => {
                let word = 2u16 << 11 | (index as u16) << 7 | u16::from(channel_config) << 3;
                word.to_be_bytes().to_vec()
            }
            None if sample_rate_hz > 0 && sample_rate_hz < 1 << 24 => {
                let word = 2u64 << 35
                    | u64::from(ESCAPE_RATE) << 31
                    | u64::from(sample_rate_hz) << 7
                    | u64::from(channel_config) << 3;
                word.to_be_bytes()[3..].to_vec()
            }
            None => return Err(Error::unsupported(WHAT, format!("{sample_rate_hz} Hz"))),
        };
        Config::from_asc(&asc)
    }

    /// Samples a second that a decoder with all signalled extensions puts out.
    pub fn output_rate_hz(&self) -> u32 {
        Parsed::read(&self.asc).map_or(self.sample_rate_hz, |parsed| parsed.output_rate_hz)
    }

    /// How long a frame lasts.
    pub fn frame_duration(&self) -> MediaTime {
        MediaTime::from_ticks(i64::from(self.frame_samples), self.sample_rate_hz.max(1))
    }

    /// The codec as playlists name it (RFC 6381 section 3.3): `mp4a.40.2`.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

struct Parsed {
    config: Config,
    output_rate_hz: u32,
}

impl Parsed {
    fn read(asc: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(WHAT, asc);
        let object_type = read_object_type(&mut r)?;
        let sample_rate_hz = read_rate(&mut r)?;
        let channel_config = r.bits(4)? as u8;
        let mut output_rate_hz = sample_rate_hz;
        let mut core_type = object_type;
        if matches!(object_type, 5 | 29) {
            output_rate_hz = read_rate(&mut r)?;
            core_type = read_object_type(&mut r)?;
        }
        if !matches!(core_type, 1..=4) {
            let reason = format!("audio object type {core_type}, not AAC");
            return Err(Error::unsupported(WHAT, reason));
        }
        let frame_samples = if r.flag()? { 960 } else { 1024 };
        if r.flag()? {
            r.skip(14)?;
        }
        r.flag()?;
        let channels = match channel_config {
            0 => read_program_config(&mut r)?,
            1..=6 => channel_config,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => {
                let reason = format!("channel configuration {channel_config} is reserved");
                return Err(Error::syntax(WHAT, r.at_byte(), reason));
            }
        };
        if object_type == core_type
            && let Ok(Some(rate)) = read_sync_extension(&mut r)
        {
            output_rate_hz = rate;
        }
        let asc = Bytes::copy_from_slice(asc);
        let config = Config { asc, object_type, sample_rate_hz, channels, frame_samples };
        Ok(Parsed { config, output_rate_hz })
    }
}

/// Section 1.6.2.1, GetAudioObjectType.
fn read_object_type(r: &mut BitReader<'_>) -> Result<u8, Error> {
    Ok(match r.bits(5)? {
        31 => 32 + r.bits(6)? as u8,
        short => short as u8,
    })
}

/// samplingFrequencyIndex, or the rate itself after the escape value.
fn read_rate(r: &mut BitReader<'_>) -> Result<u32, Error> {
    let at = r.at_byte();
    let index = r.bits(4)?;
    if index == ESCAPE_RATE {
        let rate = r.bits(24)?;
        if rate == 0 {
            return Err(Error::syntax(WHAT, at, "the sampling frequency is 0"));
        }
        return Ok(rate);
    }
    RATES_HZ.get(index as usize).copied().ok_or_else(|| {
        Error::syntax(WHAT, at, format!("sampling frequency index {index} is reserved"))
    })
}

/// The channels of a program_config_element (section 4.4.1.1).
fn read_program_config(r: &mut BitReader<'_>) -> Result<u8, Error> {
    let at = r.at_byte();
    r.skip(4 + 2 + 4)?;
    let pairs = [r.bits(4)?, r.bits(4)?, r.bits(4)?];
    let (low, associated, coupling) = (r.bits(2)?, r.bits(3)?, r.bits(4)?);
    for mixdown_bits in [4, 4, 3] {
        if r.flag()? {
            r.skip(mixdown_bits)?;
        }
    }
    let mut channels = low as u8;
    for _ in 0..pairs.iter().sum() {
        channels += if r.flag()? { 2 } else { 1 };
        r.skip(4)?;
    }
    r.skip((low * 4 + associated * 4 + coupling * 5) as usize)?;
    r.align();
    let comment_bytes = r.bits(8)?;
    r.skip(comment_bytes as usize * 8)?;
    if channels == 0 {
        return Err(Error::syntax(WHAT, at, "the program config element has no channels"));
    }
    Ok(channels)
}

/// The rate of spectral band replication that is signalled behind the configuration, where old
/// decoders do not look (section 1.6.2.1, syncExtensionType).
fn read_sync_extension(r: &mut BitReader<'_>) -> Result<Option<u32>, Error> {
    if r.left_bits() < 16 || r.bits(11)? != 0x2b7 || read_object_type(r)? != 5 || !r.flag()? {
        return Ok(None);
    }
    read_rate(r).map(Some)
}

const WHAT: &str = "AudioSpecificConfig";
const ESCAPE_RATE: u32 = 15;
const RATES_HZ: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

#[cfg(test)]
// Bits are grouped by the fields that they are.
#[allow(clippy::unusual_byte_groupings)]
mod tests {
    use super::*;

    #[test]
    fn low_complexity_stereo_reads() {
        let config = Config::from_asc(&[0x11, 0x90]).unwrap();
        assert_eq!((config.object_type, config.sample_rate_hz, config.channels), (2, 48000, 2));
        assert_eq!((config.frame_samples, config.output_rate_hz()), (1024, 48000));
        assert_eq!(config.codec_string(), "mp4a.40.2");
        assert_eq!(Config::lc(48000, 2).unwrap().asc[..], [0x11, 0x90]);
    }

    #[test]
    fn a_rate_that_has_no_index_goes_by_the_escape_value() {
        let config = Config::lc(40000, 1).unwrap();
        assert_eq!(config.asc.len(), 5);
        assert_eq!((config.sample_rate_hz, config.channels), (40000, 1));
    }

    #[test]
    fn explicit_he_aac_keeps_the_core_rate_apart_from_the_output_rate() {
        // Object type 5, 24 kHz, stereo, extension 48 kHz, core type 2.
        let bits = 0b00101_0110_0010_0011_00010_000u32 << 7;
        let config = Config::from_asc(&bits.to_be_bytes()).unwrap();
        assert_eq!((config.object_type, config.sample_rate_hz), (5, 24000));
        assert_eq!(config.output_rate_hz(), 48000);
        assert_eq!(config.codec_string(), "mp4a.40.5");
    }

    #[test]
    fn he_aac_behind_the_configuration_keeps_the_core_rate_apart_from_the_output_rate() {
        let bits = 0b00010_0110_0010_000_01010110111_00101_1_0011u64 << 27;
        let config = Config::from_asc(&bits.to_be_bytes()).unwrap();
        assert_eq!((config.object_type, config.sample_rate_hz), (2, 24000));
        assert_eq!(config.output_rate_hz(), 48000);
    }

    #[test]
    fn a_program_config_element_says_the_channels() {
        // LC, 48 kHz, channel configuration 0; one pair in front, one single, one low.
        let head = 0b00010_0011_0000_000u64;
        let pce = 0b0000_01_0011_0010_0000_0000_01_000_0000_000_1_0000_0_0001_0000u64;
        let bits = (head << 48 | pce) as u128;
        let mut bytes = (bits << 64).to_be_bytes().to_vec();
        bytes.truncate(10);
        let config = Config::from_asc(&bytes).unwrap();
        assert_eq!(config.channels, 4);
    }

    #[test]
    fn other_audio_object_types_are_named() {
        let message = Config::from_asc(&[0xf8, 0x80, 0, 0]).unwrap_err().to_string();
        assert!(message.contains("audio object type 36"), "{message}");
        assert!(Config::from_asc(&[]).is_err());
    }
}
