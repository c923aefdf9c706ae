//! H.265 (ISO/IEC 23008-2): parameter sets, NAL units. Decoding times are derived as for H.264, by
//! [`crate::h264::DtsClock`].

mod nal;
mod profile;
mod sps;
mod vps;

use bytes::{BufMut, Bytes, BytesMut};

use crate::Error;
use crate::bits::BitReader;
use crate::nal::{check_sets, put_sets, rbsp, read_sets};

pub use nal::{NalType, recovery_point};
pub use profile::Profile;
pub use sps::PictureInfo;

/// The parameter sets of an H.265 stream: NAL units without start code or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Video parameter sets; at least one.
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets; at least one.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets; at least one.
    pub pps: Vec<Bytes>,
}

impl Config {
    /// The configuration with these parameter sets, each a NAL unit without start code or
    /// length. An error if there are none of a kind, if one is of another kind, or if there are
    /// more than the specification numbers.
    pub fn from_parameter_sets(
        vps: Vec<Bytes>,
        sps: Vec<Bytes>,
        pps: Vec<Bytes>,
    ) -> Result<Self, Error> {
        let type_of = |nal: &[u8]| NalType::of(nal).0;
        check_sets("VPS", &vps, NalType::VPS.0, type_of, 6, 16)?;
        check_sets("SPS", &sps, NalType::SPS.0, type_of, 15, 16)?;
        check_sets("PPS", &pps, NalType::PPS.0, type_of, 3, 64)?;
        Ok(Config { vps, sps, pps })
    }

    /// Reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1), the content of
    /// an `hvcC` box. Only its parameter sets are read: they say again what the record says of
    /// the stream. Other NAL units in it (supplemental enhancement information) are passed over.
    /// See [`Config::nal_length_bytes`].
    pub fn from_hvcc(hvcc: &[u8]) -> Result<Self, Error> {
        Config::nal_length_bytes(hvcc)?;
        let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
        let arrays = hvcc.get(HVCC_BYTES - 1).copied().unwrap_or(0);
        let mut at = HVCC_BYTES;
        for _ in 0..arrays {
            let rest = hvcc.get(at..).unwrap_or(&[]);
            let Some(&[nal_type, count @ ..]) = rest.first_chunk::<3>() else {
                return Err(Error::syntax(HVCC, at, "ends before the head of an array"));
            };
            at += 3;
            let sets = read_sets(HVCC, hvcc, &mut at, u16::from_be_bytes(count))?;
            match NalType(nal_type & 0x3f) {
                NalType::VPS => vps.extend(sets),
                NalType::SPS => sps.extend(sets),
                NalType::PPS => pps.extend(sets),
                _ => {}
            }
        }
        Config::from_parameter_sets(vps, sps, pps)
    }

    /// The bytes of the length before each NAL unit of a stream with this
    /// HEVCDecoderConfigurationRecord: 1, 2 or 4. Weir's own payloads have 4.
    pub fn nal_length_bytes(hvcc: &[u8]) -> Result<u8, Error> {
        let Some(head) = hvcc.first_chunk::<HVCC_BYTES>() else {
            let reason = format!("shorter than {HVCC_BYTES} bytes");
            return Err(Error::syntax(HVCC, hvcc.len(), reason));
        };
        // Files from before the standard was finished have version 0, and the same layout.
        if head[0] > 1 {
            let reason = format!("version 1 expected, {} came", head[0]);
            return Err(Error::syntax(HVCC, 0, reason));
        }
        match head[21] & 3 {
            2 => Err(Error::syntax(HVCC, 21, "NAL unit lengths of 3 bytes are not allowed")),
            less_one => Ok(less_one + 1),
        }
    }

    /// The HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1) with NAL unit lengths
    /// of 4 bytes. Segmentation, parallelism and average frame rate are given as unknown.
    ///
    /// An error if the first sequence parameter set cannot be read, for the record repeats what it
    /// says.
    pub fn to_hvcc(&self) -> Result<Bytes, Error> {
        let picture = self.picture()?;
        let mut out = BytesMut::new();
        out.put_u8(1);
        picture.profile.put(&mut out);
        out.put_u16(0xf000);
        out.put_slice(&[
            0xfc,
            0xfc | picture.chroma_format_idc,
            0xf8 | picture.bit_depth_luma.saturating_sub(8),
            0xf8 | picture.bit_depth_chroma.saturating_sub(8),
        ]);
        out.put_u16(0);
        let nested = u8::from(picture.temporal_id_nesting);
        out.put_u8(picture.temporal_layers << 3 | nested << 2 | 3);
        let kinds =
            [(NalType::VPS, &self.vps), (NalType::SPS, &self.sps), (NalType::PPS, &self.pps)];
        out.put_u8(kinds.len() as u8);
        for (nal_type, sets) in kinds {
            out.put_u8(ARRAY_COMPLETE | nal_type.0);
            out.put_u16(sets.len() as u16);
            put_sets(&mut out, sets);
        }
        Ok(out.freeze())
    }

    /// What the first sequence parameter set says of the pictures; the frame rate is that of the
    /// first video parameter set where the sequence parameter set has none.
    pub fn picture(&self) -> Result<PictureInfo, Error> {
        let mut picture = PictureInfo::from_sps(self.sps.first().map_or(&[], |sps| &sps[..]))?;
        if picture.frame_rate.is_none() {
            let vps = self.vps.first().map_or(&[][..], |vps| &vps[..]);
            // Damage there only leaves the rate unknown.
            picture.frame_rate = vps::frame_rate(&rbsp(vps, nal::HEADER_BYTES)).ok().flatten();
        }
        Ok(picture)
    }

    /// The codec as playlists name it (ISO/IEC 14496-15 annex E): `hvc1.1.6.L93.B0`. An error if
    /// the first sequence parameter set cannot be read.
    pub fn codec_string(&self) -> Result<String, Error> {
        Ok(format!("hvc1.{}", self.picture()?.profile.codec_string()))
    }
}

/// The number of a video, sequence or picture parameter set of the base layer, by which others
/// refer to it; `None` for any other NAL unit.
pub fn parameter_set_id(nal: &[u8]) -> Option<u8> {
    if nal::layer_id(nal) != 0 {
        return None;
    }
    // The longest way to a number, that of a sequence parameter set, is 90 bytes.
    let rbsp = rbsp(nal.get(..nal.len().min(256))?, nal::HEADER_BYTES);
    let mut r = BitReader::new("parameter set", &rbsp);
    let (id, max) = match NalType::of(nal) {
        NalType::VPS => (r.bits(4).ok()?, 15),
        NalType::SPS => {
            r.skip(4).ok()?;
            let sub_layers_less_one = r.bits(3).ok()? as u8;
            r.skip(1).ok()?;
            Profile::read(&mut r, sub_layers_less_one).ok()?;
            (r.ue().ok()?, 15)
        }
        NalType::PPS => (r.ue().ok()?, 63),
        _ => return None,
    };
    u8::try_from(id).ok().filter(|id| *id <= max)
}

const HVCC: &str = "HEVCDecoderConfigurationRecord";
/// Up to the count of arrays, which is the last of these bytes.
const HVCC_BYTES: usize = 23;
/// array_completeness: all sets of this kind are in the record.
const ARRAY_COMPLETE: u8 = 0x80;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 320x180 at 30 a second, Main, level 2, by x265 with B-frames.
    pub(crate) fn config() -> Config {
        let vps = [
            0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
            0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x94, 0x09,
        ];
        let sps = [
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0c, 0x1f, 0x3e, 0x59, 0x59, 0x52, 0x93,
            0x0b, 0xc0, 0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3c,
            0x10,
        ];
        let pps = [0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89, 0x27];
        let sets = |set: &[u8]| vec![Bytes::copy_from_slice(set)];
        Config::from_parameter_sets(sets(&vps), sets(&sps), sets(&pps)).unwrap()
    }

    #[test]
    fn a_record_returns_the_configuration_that_it_was_made_from() {
        let hvcc = config().to_hvcc().unwrap();
        assert_eq!(Config::from_hvcc(&hvcc).unwrap(), config());
        assert_eq!(Config::nal_length_bytes(&hvcc).unwrap(), 4);
        // The head that x265 and ffmpeg wrote for this stream, but for the count of arrays.
        let head = [
            1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3c, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0,
            0, 0x0f,
        ];
        assert_eq!(hvcc[..22], head);
    }

    #[test]
    fn profile_tier_and_level_are_written_as_playlists_want_them() {
        assert_eq!(config().codec_string().unwrap(), "hvc1.1.6.L60.90");
    }

    #[test]
    fn parameter_sets_have_numbers() {
        let config = config();
        for set in [&config.vps[0], &config.sps[0], &config.pps[0]] {
            assert_eq!(parameter_set_id(set), Some(0));
        }
        assert_eq!(parameter_set_id(&[0x40, 1, 0x5c]), Some(5));
        assert_eq!(parameter_set_id(&[0x44, 1, 0b0010_0000]), Some(3));
        assert_eq!(parameter_set_id(&config.sps[0][..12]), None);
        assert_eq!(parameter_set_id(&[0x26, 1, 0xaf]), None);
    }

    #[test]
    fn other_nal_units_in_a_record_are_passed_over() {
        let mut hvcc = config().to_hvcc().unwrap().to_vec();
        hvcc[22] += 1;
        hvcc.extend([39, 0, 1, 0, 3, 0x4e, 0x01, 0x80]);
        assert_eq!(Config::from_hvcc(&hvcc).unwrap(), config());
    }

    #[test]
    fn records_cut_anywhere_are_errors() {
        let hvcc = config().to_hvcc().unwrap();
        for len in 0..hvcc.len() {
            assert!(Config::from_hvcc(&hvcc[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn sets_of_the_wrong_type_are_named() {
        let Config { vps, sps, pps } = config();
        let message = Config::from_parameter_sets(sps, vps, pps).unwrap_err().to_string();
        assert_eq!(message, "VPS, byte 0: NAL unit type 32 expected, 33 came");
    }
}
