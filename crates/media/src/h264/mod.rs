//! H.264: parameter sets, NAL units, decoding times.

mod dts;
mod nal;
mod sps;

use bytes::{BufMut, Bytes, BytesMut};

use crate::Error;
use crate::nal::{check_sets, put_sets, read_sets};

pub use dts::DtsClock;
pub use nal::{NalType, recovery_point};
pub use sps::PictureInfo;

/// The parameter sets of an H.264 stream: NAL units without start code or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sequence parameter sets; at least one.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets; at least one.
    pub pps: Vec<Bytes>,
}

impl Config {
    /// The configuration with these parameter sets, each a NAL unit without start code or
    /// length. An error if there are none, if one is no parameter set, or if there are more than
    /// an AVCDecoderConfigurationRecord holds.
    pub fn from_parameter_sets(sps: Vec<Bytes>, pps: Vec<Bytes>) -> Result<Self, Error> {
        let type_of = |nal: &[u8]| NalType::of(nal).0;
        check_sets("SPS", &sps, NalType::SPS.0, type_of, 4, 31)?;
        check_sets("PPS", &pps, NalType::PPS.0, type_of, 2, 255)?;
        Ok(Config { sps, pps })
    }

    /// Reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1), the content of
    /// an `avcC` box and of an FLV sequence header. The extension of the high profiles is not
    /// read: the sequence parameter set says the same. See [`Config::nal_length_bytes`].
    pub fn from_avcc(avcc: &[u8]) -> Result<Self, Error> {
        Config::nal_length_bytes(avcc)?;
        let mut at = 5;
        let sps_count = avcc.get(at).copied().unwrap_or(0) & 31;
        at += 1;
        let sps = read_sets(AVCC, avcc, &mut at, sps_count.into())?;
        let Some(&pps_count) = avcc.get(at) else {
            return Err(Error::syntax(AVCC, at, "ends before the picture parameter sets"));
        };
        at += 1;
        let pps = read_sets(AVCC, avcc, &mut at, pps_count.into())?;
        Config::from_parameter_sets(sps, pps)
    }

    /// The bytes of the length before each NAL unit of a stream with this
    /// AVCDecoderConfigurationRecord: 1, 2 or 4. Weir's own payloads have 4.
    pub fn nal_length_bytes(avcc: &[u8]) -> Result<u8, Error> {
        let Some(&[version, _, _, _, length, _]) = avcc.first_chunk::<6>() else {
            return Err(Error::syntax(AVCC, avcc.len(), "shorter than 6 bytes"));
        };
        if version != 1 {
            return Err(Error::syntax(AVCC, 0, format!("version 1 expected, {version} came")));
        }
        match length & 3 {
            2 => Err(Error::syntax(AVCC, 4, "NAL unit lengths of 3 bytes are not allowed")),
            less_one => Ok(less_one + 1),
        }
    }

    /// The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1) with NAL unit lengths
    /// of 4 bytes.
    pub fn to_avcc(&self) -> Bytes {
        let [profile, flags, level] = self.profile_bytes();
        let mut out = BytesMut::new();
        out.put_slice(&[1, profile, flags, level, 0xfc | 3, 0xe0 | self.sps.len() as u8]);
        put_sets(&mut out, &self.sps);
        out.put_u8(self.pps.len() as u8);
        put_sets(&mut out, &self.pps);
        if matches!(profile, 100 | 110 | 122 | 144)
            && let Ok(picture) = self.picture()
        {
            out.put_slice(&[
                0xfc | picture.chroma_format_idc,
                0xf8 | picture.bit_depth_luma.saturating_sub(8),
                0xf8 | picture.bit_depth_chroma.saturating_sub(8),
                0,
            ]);
        }
        out.freeze()
    }

    /// What the first sequence parameter set says of the pictures.
    pub fn picture(&self) -> Result<PictureInfo, Error> {
        PictureInfo::from_sps(self.sps.first().map_or(&[], |sps| &sps[..]))
    }

    /// profile-level-id (RFC 6184 section 8.1): six hexadecimal digits, `64001f`.
    pub fn profile_level_id(&self) -> String {
        let [profile, flags, level] = self.profile_bytes();
        format!("{profile:02x}{flags:02x}{level:02x}")
    }

    /// The codec as playlists name it (RFC 6381 section 3.3): `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        format!("avc1.{}", self.profile_level_id())
    }

    fn profile_bytes(&self) -> [u8; 3] {
        match self.sps.first().and_then(|sps| sps.first_chunk::<4>()) {
            Some(&[_, profile, flags, level]) => [profile, flags, level],
            None => [0; 3],
        }
    }
}

const AVCC: &str = "AVCDecoderConfigurationRecord";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 1280x720 at 30 a second, High, level 3.1, by x264 with two B-frames in a row.
    pub(crate) fn config() -> Config {
        let sps = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00,
            0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        let pps = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
        let sets = |set: &[u8]| vec![Bytes::copy_from_slice(set)];
        Config::from_parameter_sets(sets(&sps), sets(&pps)).unwrap()
    }

    #[test]
    fn a_record_returns_the_configuration_that_it_was_made_from() {
        let avcc = config().to_avcc();
        assert_eq!(Config::from_avcc(&avcc).unwrap(), config());
        assert_eq!(Config::nal_length_bytes(&avcc).unwrap(), 4);
        assert_eq!(avcc[avcc.len() - 4..], [0xfd, 0xf8, 0xf8, 0]);
    }

    #[test]
    fn profile_and_level_are_written_as_the_rfcs_want_them() {
        assert_eq!(config().profile_level_id(), "64001f");
        assert_eq!(config().codec_string(), "avc1.64001f");
    }

    #[test]
    fn records_cut_anywhere_are_errors() {
        let avcc = config().to_avcc();
        for len in 0..avcc.len() - 4 {
            assert!(Config::from_avcc(&avcc[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn sets_of_the_wrong_type_are_named() {
        let Config { sps, pps } = config();
        let message = Config::from_parameter_sets(pps, sps).unwrap_err().to_string();
        assert_eq!(message, "SPS, byte 0: NAL unit type 7 expected, 8 came");
        assert!(Config::from_parameter_sets(vec![], vec![]).is_err());
    }
}
