//! AV1 (AV1 Bitstream & Decoding Process Specification): its configuration record, open bitstream
//! units and temporal units.

mod obu;
mod sequence;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Error, KeyKind};

pub use obu::{Obu, ObuType, Obus, put_leb128, read_leb128};
pub use sequence::SequenceHeader;

/// The configuration of an AV1 stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The AV1CodecConfigurationRecord (AV1 in ISO BMFF, section 2.3.3), with the sequence header
    /// among its configOBUs.
    pub record: Bytes,
}

impl Config {
    /// Reads an AV1CodecConfigurationRecord, the content of an `av1C` box. An error if it has no
    /// sequence header.
    pub fn from_record(record: &[u8]) -> Result<Self, Error> {
        let Some((&[version, ..], obus)) = record.split_first_chunk::<RECORD_BYTES>() else {
            return Err(Error::syntax(RECORD, record.len(), "shorter than 4 bytes"));
        };
        if version != VERSION {
            let reason = format!("marker and version 0x81 expected, {version:#04x} came");
            return Err(Error::syntax(RECORD, 0, reason));
        }
        let Some(sequence) = first_sequence_header(obus)? else {
            return Err(Error::syntax(RECORD, RECORD_BYTES, "has no sequence header"));
        };
        let (width, height) = SequenceHeader::read(sequence)?.size()?;
        Ok(Config { width, height, record: Bytes::copy_from_slice(record) })
    }

    /// The configuration of a stream with this sequence header, without the header of its open
    /// bitstream unit.
    pub fn from_sequence_header(sequence: &[u8]) -> Result<Self, Error> {
        let header = SequenceHeader::read(sequence)?;
        let (width, height) = header.size()?;
        let mut record = BytesMut::with_capacity(RECORD_BYTES + sequence.len() + 3);
        record.put_slice(&[VERSION, header.profile << 5 | header.level, header.record_flags(), 0]);
        Obu { obu_type: ObuType::SEQUENCE_HEADER, extension: None, payload: sequence }
            .put(&mut record);
        Ok(Config { width, height, record: record.freeze() })
    }

    /// The sequence header, without the header of its open bitstream unit; empty in a record that
    /// has none.
    pub fn sequence_header(&self) -> &[u8] {
        let obus = self.record.get(RECORD_BYTES..).unwrap_or(&[]);
        first_sequence_header(obus).ok().flatten().unwrap_or(&[])
    }

    /// The codec as playlists name it (AV1 in ISO BMFF, section 5): `av01.0.04M.08`, of which the
    /// parts are profile, level and tier, and bit depth. An error if the sequence header cannot be
    /// read.
    pub fn codec_string(&self) -> Result<String, Error> {
        let SequenceHeader { profile, level, high_tier, bit_depth, .. } =
            SequenceHeader::read(self.sequence_header())?;
        let tier = if high_tier { 'H' } else { 'M' };
        Ok(format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}"))
    }
}

fn first_sequence_header(obus: &[u8]) -> Result<Option<&[u8]>, Error> {
    for obu in Obus::new(obus) {
        let obu = obu?;
        if obu.obu_type == ObuType::SEQUENCE_HEADER {
            return Ok(Some(obu.payload));
        }
    }
    Ok(None)
}

/// One temporal unit in the form that [`crate::Codec::Av1`] states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporalUnit {
    /// Open bitstream units, each with its size, without temporal delimiters.
    pub payload: Bytes,
    /// Whether decoding can start here. [`KeyKind::Key`]: the first frame is a key frame that is
    /// shown; [`KeyKind::Recovery`]: it is one that a later unit shows (a delayed random access
    /// point, section 7.6.2).
    pub key: KeyKind,
    /// The first sequence header in it, without the header of its open bitstream unit.
    pub sequence_header: Option<Bytes>,
}

impl TemporalUnit {
    /// Brings open bitstream units into form. Nothing is copied if they have that form already.
    pub fn from_obus(data: &Bytes) -> Result<Self, Error> {
        let mut key = None;
        let mut sequence_header = None;
        let mut is_still = false;
        let mut fits = true;
        let mut obus = Obus::new(data);
        while let Some(obu) = obus.next() {
            let obu = obu?;
            fits &= obus.last_had_size() && obu.obu_type != ObuType::TEMPORAL_DELIMITER;
            match obu.obu_type {
                ObuType::SEQUENCE_HEADER if sequence_header.is_none() => {
                    is_still = obu.payload.first().is_some_and(|byte| byte & 0x08 != 0);
                    sequence_header = Some(data.slice_ref(obu.payload));
                }
                ObuType::FRAME | ObuType::FRAME_HEADER if key.is_none() => {
                    key = Some(if is_still { KeyKind::Key } else { frame_key(obu.payload) });
                }
                _ => {}
            }
        }
        let payload = if fits { data.clone() } else { in_form(data) };
        Ok(TemporalUnit { payload, key: key.unwrap_or(KeyKind::Delta), sequence_header })
    }
}

/// What the first bits of a frame header say (section 5.9.2).
fn frame_key(header: &[u8]) -> KeyKind {
    let first = header.first().copied().unwrap_or(0xff);
    let (shows_existing, frame_type, is_shown) =
        (first & 0x80 != 0, first >> 5 & 3, first & 0x10 != 0);
    match (shows_existing, frame_type, is_shown) {
        (false, KEY_FRAME, true) => KeyKind::Key,
        (false, KEY_FRAME, false) => KeyKind::Recovery,
        _ => KeyKind::Delta,
    }
}

fn in_form(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 8);
    for obu in Obus::new(data).flatten() {
        if obu.obu_type != ObuType::TEMPORAL_DELIMITER {
            obu.put(&mut out);
        }
    }
    out.freeze()
}

const RECORD: &str = "AV1CodecConfigurationRecord";
const RECORD_BYTES: usize = 4;
/// The marker bit and version 1.
const VERSION: u8 = 0x81;
const KEY_FRAME: u8 = 0;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 320x180 of the Main profile, level 2.0, as libaom and ffmpeg write it.
    const RECORD: [u8; 17] = [
        0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9,
        0x00, 0x40,
    ];

    #[test]
    fn a_sequence_header_makes_the_record_that_it_came_in() {
        let config = Config::from_record(&RECORD).unwrap();
        assert_eq!((config.width, config.height), (320, 180));
        assert_eq!(config.codec_string().unwrap(), "av01.0.00M.08");
        assert_eq!(Config::from_sequence_header(config.sequence_header()).unwrap(), config);
    }

    #[test]
    fn records_without_a_sequence_header_are_refused() {
        for len in 0..RECORD.len() - 2 {
            assert!(Config::from_record(&RECORD[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn temporal_delimiters_go_and_sizes_come() {
        let sequence = &RECORD[4..];
        let key = [&[0x12, 0x00][..], sequence, &[0x32, 0x02, 0x10, 0xaa]].concat();
        let unit = TemporalUnit::from_obus(&key.into()).unwrap();
        assert_eq!(unit.payload[..], [sequence, &[0x32, 0x02, 0x10, 0xaa]].concat());
        assert_eq!((unit.key, unit.sequence_header.as_deref()), (KeyKind::Key, Some(&RECORD[6..])));
        // The last unit may be without size.
        let unit = TemporalUnit::from_obus(&Bytes::from_static(&[0x30, 0x30, 0xaa])).unwrap();
        assert_eq!(unit.payload[..], [0x32, 0x02, 0x30, 0xaa]);
        assert_eq!((unit.key, unit.sequence_header), (KeyKind::Delta, None));
        let hidden = Bytes::from_static(&[0x32, 0x01, 0x00]);
        let unit = TemporalUnit::from_obus(&hidden).unwrap();
        assert_eq!((unit.key, unit.payload.as_ptr()), (KeyKind::Recovery, hidden.as_ptr()));
        assert!(TemporalUnit::from_obus(&Bytes::from_static(&[0x32, 0x05, 0x00])).is_err());
    }
}
