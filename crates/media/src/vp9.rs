//! VP9 (VP9 Bitstream & Decoding Process Specification): its configuration record, and the head of
//! a frame.

use bytes::Bytes;

use crate::bits::BitReader;
use crate::{Error, KeyKind};

/// The configuration of a VP9 stream (VPCodecConfigurationRecord of VP9 in ISO BMFF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Profile, 0 to 3.
    pub profile: u8,
    /// Level times ten; 0 where it is not known.
    pub level: u8,
    /// Bits a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling as the record codes it: 0 and 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub chroma_subsampling: u8,
}

impl Config {
    /// Reads a VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, section 3), the
    /// content of a `vpcC` box behind its version, which is 1, and its flags. The size stands
    /// elsewhere.
    pub fn from_record(record: &[u8], width: u16, height: u16) -> Result<Self, Error> {
        let Some(&[profile, level, depths, ..]) = record.first_chunk::<8>() else {
            return Err(Error::syntax(RECORD, record.len(), "shorter than 8 bytes"));
        };
        let config = Config {
            width,
            height,
            profile,
            level,
            bit_depth: depths >> 4,
            chroma_subsampling: depths >> 1 & 7,
        };
        if profile > 3 {
            return Err(Error::syntax(RECORD, 0, format!("profile {profile}: 0 to 3 expected")));
        }
        if !matches!(config.bit_depth, 8 | 10 | 12) {
            let reason = format!("{} bits a sample: 8, 10 or 12 expected", config.bit_depth);
            return Err(Error::syntax(RECORD, 2, reason));
        }
        Ok(config)
    }

    /// The VPCodecConfigurationRecord. Colours are given as not specified, in the narrow range.
    pub fn to_record(&self) -> Bytes {
        let depths = self.bit_depth << 4 | self.chroma_subsampling << 1;
        Bytes::copy_from_slice(&[self.profile, self.level(), depths, 2, 2, 2, 0, 0])
    }

    /// Reads the uncompressed header of a key frame, or of the first frame of a superframe
    /// (section 6.2). The level is not in it.
    pub fn from_key_frame(frame: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(HEADER, frame);
        let head = Head::read(&mut r)?;
        if head.key != KeyKind::Key {
            return Err(Error::syntax(HEADER, 0, "a key frame expected, another came"));
        }
        let code = r.bits(24)?;
        if code != SYNC_CODE {
            return Err(Error::syntax(
                HEADER,
                1,
                format!("sync code 498342 expected, {code:06x} came"),
            ));
        }
        let (bit_depth, chroma_subsampling) = read_color_config(&mut r, head.profile)?;
        let width = r.bits(16)?.saturating_add(1);
        let height = r.bits(16)?.saturating_add(1);
        let side = |pixels: u32| {
            u16::try_from(pixels)
                .map_err(|_| Error::unsupported(HEADER, format!("a side of {pixels} pixels")))
        };
        Ok(Config {
            width: side(width)?,
            height: side(height)?,
            profile: head.profile,
            level: 0,
            bit_depth,
            chroma_subsampling,
        })
    }

    /// The codec as playlists name it (VP Codec ISO Media File Format Binding, section 4):
    /// `vp09.00.10.08`, of which the parts are profile, level and bit depth.
    pub fn codec_string(&self) -> String {
        format!("vp09.{:02}.{:02}.{:02}", self.profile, self.level(), self.bit_depth)
    }

    /// The level; where it is not known, the least that allows the size of the picture (VP9
    /// Levels, table of levels), at a rate of up to 30 a second.
    fn level(&self) -> u8 {
        if self.level != 0 {
            return self.level;
        }
        let pixels = u32::from(self.width) * u32::from(self.height);
        let least = LEVELS.iter().find(|(picture, _)| pixels <= *picture);
        least.map_or(62, |(_, level)| *level)
    }
}

/// Whether decoding can start at a frame: whether it, or the first of a superframe, is a key
/// frame.
pub fn key(frame: &[u8]) -> KeyKind {
    Head::read(&mut BitReader::new(HEADER, frame)).map_or(KeyKind::Delta, |head| head.key)
}

/// The first bits of an uncompressed header.
struct Head {
    profile: u8,
    key: KeyKind,
}

impl Head {
    fn read(r: &mut BitReader<'_>) -> Result<Self, Error> {
        let marker = r.bits(2)?;
        if marker != FRAME_MARKER {
            return Err(Error::syntax(
                HEADER,
                0,
                format!("frame marker 2 expected, {marker} came"),
            ));
        }
        let profile = (r.bits(1)? | r.bits(1)? << 1) as u8;
        if profile == 3 {
            r.skip(1)?;
        }
        let show_existing_frame = r.flag()?;
        if show_existing_frame {
            return Ok(Head { profile, key: KeyKind::Delta });
        }
        let is_inter = r.flag()?;
        // show_frame, error_resilient_mode
        r.skip(2)?;
        Ok(Head { profile, key: if is_inter { KeyKind::Delta } else { KeyKind::Key } })
    }
}

/// The bit depth, and the chroma subsampling as the record codes it (section 6.2.2).
fn read_color_config(r: &mut BitReader<'_>, profile: u8) -> Result<(u8, u8), Error> {
    let bit_depth = match profile {
        2 | 3 => [10, 12][r.bits(1)? as usize],
        _ => 8,
    };
    let is_rgb = r.bits(3)? == CS_RGB;
    let is_odd = profile & 1 == 1;
    if is_rgb {
        if !is_odd {
            return Err(Error::syntax(HEADER, r.at_byte(), format!("RGB in profile {profile}")));
        }
        r.skip(1)?;
        return Ok((bit_depth, 3));
    }
    r.skip(1)?;
    if !is_odd {
        return Ok((bit_depth, 1));
    }
    let (across, down) = (r.flag()?, r.flag()?);
    r.skip(1)?;
    match (across, down) {
        (true, false) => Ok((bit_depth, 2)),
        (false, false) => Ok((bit_depth, 3)),
        _ => {
            let reason = format!("chroma subsampling {across}, {down} in profile {profile}");
            Err(Error::unsupported(HEADER, reason))
        }
    }
}

const RECORD: &str = "VPCodecConfigurationRecord";
const HEADER: &str = "VP9 uncompressed header";
const FRAME_MARKER: u32 = 2;
const SYNC_CODE: u32 = 0x49_83_42;
const CS_RGB: u32 = 7;
/// The greatest pictures of the levels, in pixels.
const LEVELS: [(u32, u8); 9] = [
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
    (35_651_584, 60),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// 320x180 of profile 0, as libvpx writes it.
    const KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x36, 0x06];

    #[test]
    fn a_key_frame_says_size_and_depth() {
        let config = Config::from_key_frame(&KEY).unwrap();
        assert_eq!((config.width, config.height, config.profile), (320, 180, 0));
        assert_eq!((config.bit_depth, config.chroma_subsampling), (8, 1));
        assert_eq!(config.codec_string(), "vp09.00.11.08");
        assert_eq!(key(&KEY), KeyKind::Key);
        // An inter frame, and one that is shown again.
        assert_eq!((key(&[0x86]), key(&[0x88])), (KeyKind::Delta, KeyKind::Delta));
        assert!(Config::from_key_frame(&[0x86, 0]).is_err());
    }

    #[test]
    fn a_record_returns_the_configuration_that_it_was_made_from() {
        let config = Config {
            width: 1280,
            height: 720,
            profile: 2,
            level: 31,
            bit_depth: 10,
            chroma_subsampling: 1,
        };
        assert_eq!(Config::from_record(&config.to_record(), 1280, 720), Ok(config));
        assert_eq!(config.codec_string(), "vp09.02.31.10");
        for len in 0..8 {
            assert!(Config::from_record(&config.to_record()[..len], 1280, 720).is_err(), "{len}");
        }
        assert!(Config::from_record(&[0, 0, 0x90, 2, 2, 2, 0, 0], 1, 1).is_err());
    }
}
