//! Sample descriptions: what a track is coded in.

use bytes::Bytes;

use super::boxes::{BoxView, FourCc};
use super::{g711_entry, jpeg_entry, opus_entry};
use crate::{Codec, Error, Kind, aac, av1, h264, h265, vp8, vp9};

/// What the first sample description of a track says.
pub(super) enum Description {
    Carried {
        codec: Codec,
        /// Bytes of the length before each NAL unit.
        length_bytes: u8,
        /// Which entry of the data reference box says where its samples are, from 1.
        data_reference: u16,
    },
    /// Not carried, and why.
    Other(FourCc, String),
}

/// Reads a `stsd` box (ISO/IEC 14496-12 section 8.5.2).
pub(super) fn read(stsd: &BoxView<'_>, kind: Kind) -> Result<Description, Error> {
    let mut fields = stsd.fields();
    fields.version_and_flags()?;
    fields.u32()?;
    let Some(entry) = stsd.children(fields.at()).next().transpose()? else {
        return Err(stsd.error("has no sample description"));
    };
    match (kind, &entry.kind.0) {
        (Kind::Video, b"avc1" | b"avc3") => read_avc(&entry),
        (Kind::Video, b"hvc1" | b"hev1") => read_hevc(&entry),
        (Kind::Video, b"vp08") => read_vp8(&entry),
        (Kind::Video, b"vp09") => read_vp9(&entry),
        (Kind::Video, b"av01") => read_av1(&entry),
        (Kind::Audio, b"mp4a") => read_mp4a(&entry),
        (Kind::Video, b"jpeg" | b"mjpa" | b"mp4v") => jpeg_entry::read(&entry),
        (Kind::Audio, b"Opus") => opus_entry::read(&entry),
        (Kind::Audio, b"alaw" | b"ulaw") => g711_entry::read(&entry),
        _ => Ok(Description::Other(entry.kind, not_carried(entry.kind))),
    }
}

fn not_carried(kind: FourCc) -> String {
    let what = match &kind.0 {
        b"mjpb" => "Motion JPEG of format B",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "ProRes",
        b"encv" | b"enca" => return "it is encrypted".to_owned(),
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"fLaC" => "FLAC",
        b"alac" => "ALAC",
        b".mp3" => "MP3",
        b"sowt" | b"twos" | b"lpcm" | b"ipcm" | b"fpcm" | b"in24" | b"in32" | b"raw " => "PCM",
        _ => return "this codec is not supported".to_owned(),
    };
    format!("{what} is not supported")
}

/// ISO/IEC 14496-15 section 5.4.2.
fn read_avc(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let Some(avcc) = entry.child_behind(VISUAL_BYTES, b"avcC")? else {
        return Err(entry.error("has no avcC box"));
    };
    let length_bytes =
        h264::Config::nal_length_bytes(avcc.body).map_err(|error| inside(&avcc, error))?;
    // An avc3 track may have all parameter sets among its samples: see `first_sample`.
    if avcc.body.get(5).is_some_and(|count| count & 31 == 0) {
        let codec = Codec::H264(h264::Config { sps: Vec::new(), pps: Vec::new() });
        return Ok(Description::Carried { codec, length_bytes, data_reference });
    }
    match h264::Config::from_avcc(avcc.body) {
        Ok(config) => {
            Ok(Description::Carried { codec: Codec::H264(config), length_bytes, data_reference })
        }
        Err(error) => refused(entry, &avcc, error),
    }
}

/// ISO/IEC 14496-15 section 8.4.1.
fn read_hevc(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let Some(hvcc) = entry.child_behind(VISUAL_BYTES, b"hvcC")? else {
        return Err(entry.error("has no hvcC box"));
    };
    let length_bytes =
        h265::Config::nal_length_bytes(hvcc.body).map_err(|error| inside(&hvcc, error))?;
    // A hev1 track may have all parameter sets among its samples: see `first_sample`.
    if hvcc.body.get(22).is_some_and(|arrays| *arrays == 0) {
        let codec = Codec::H265(h265::Config { vps: Vec::new(), sps: Vec::new(), pps: Vec::new() });
        return Ok(Description::Carried { codec, length_bytes, data_reference });
    }
    match h265::Config::from_hvcc(hvcc.body) {
        Ok(config) => {
            Ok(Description::Carried { codec: Codec::H265(config), length_bytes, data_reference })
        }
        Err(error) => refused(entry, &hvcc, error),
    }
}

/// VP Codec ISO Media File Format Binding, section 2. Of its `vpcC` box VP8 needs nothing.
fn read_vp8(entry: &BoxView<'_>) -> Result<Description, Error> {
    let (width, height) = size(entry)?;
    let codec = Codec::Vp8(vp8::Config { width, height });
    Ok(Description::Carried { codec, length_bytes: 0, data_reference: data_reference(entry)? })
}

/// VP Codec ISO Media File Format Binding, sections 2 and 3.
fn read_vp9(entry: &BoxView<'_>) -> Result<Description, Error> {
    let (width, height) = size(entry)?;
    let Some(vpcc) = entry.child_behind(VISUAL_BYTES, b"vpcC")? else {
        // See `first_sample`.
        let codec = Codec::Vp9(vp9::Config {
            width,
            height,
            profile: 0,
            level: 0,
            bit_depth: 0,
            chroma_subsampling: 0,
        });
        let data_reference = data_reference(entry)?;
        return Ok(Description::Carried { codec, length_bytes: 0, data_reference });
    };
    let mut fields = vpcc.fields();
    let (version, _) = fields.version_and_flags()?;
    if version != 1 {
        let reason = format!("vpcC of version {version} is not supported");
        return Ok(Description::Other(entry.kind, reason));
    }
    match vp9::Config::from_record(fields.take(fields.left())?, width, height) {
        Ok(config) => Ok(Description::Carried {
            codec: Codec::Vp9(config),
            length_bytes: 0,
            data_reference: data_reference(entry)?,
        }),
        Err(error) => refused(entry, &vpcc, error),
    }
}

/// AV1 Codec ISO Media File Format Binding, section 2.
fn read_av1(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let Some(av1c) = entry.child_behind(VISUAL_BYTES, b"av1C")? else {
        return Err(entry.error("has no av1C box"));
    };
    // The sequence header may be among the samples: see `first_sample`.
    if av1c.body.len() == AV1C_BYTES {
        let (width, height) = size(entry)?;
        let codec = Codec::Av1(av1::Config { width, height, record: Bytes::new() });
        return Ok(Description::Carried { codec, length_bytes: 0, data_reference });
    }
    match av1::Config::from_record(av1c.body) {
        Ok(config) => {
            Ok(Description::Carried { codec: Codec::Av1(config), length_bytes: 0, data_reference })
        }
        Err(error) => refused(entry, &av1c, error),
    }
}

/// The width and height of a VisualSampleEntry (ISO/IEC 14496-12 section 12.1.3).
fn size(entry: &BoxView<'_>) -> Result<(u16, u16), Error> {
    let mut fields = entry.fields();
    fields.take(24)?;
    Ok((fields.u16()?, fields.u16()?))
}

/// ISO/IEC 14496-14 section 5.6.1; QuickTime puts more fields before the boxes, and the `esds`
/// box into a `wave` box.
fn read_mp4a(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let mut fields = entry.fields();
    fields.take(8)?;
    let quicktime_bytes = match fields.u16()? {
        1 => 16,
        2 => 36,
        _ => 0,
    };
    let esds = match find_esds(entry, AUDIO_BYTES + quicktime_bytes) {
        Ok(None) | Err(_) if quicktime_bytes > 0 => find_esds(entry, AUDIO_BYTES)?,
        found => found?,
    };
    let Some(esds) = esds else {
        return Err(entry.error("has no esds box"));
    };
    let (object_type, asc) = read_esds(&esds)?;
    if !matches!(object_type, 0x40 | 0x66..=0x68) {
        let what = match object_type {
            0x69 | 0x6b => "MP3",
            0xa5 => "AC-3",
            0xa6 => "E-AC-3",
            0xa9 => "DTS",
            0xad => "Opus",
            0xdd => "Vorbis",
            _ => "a codec other than AAC",
        };
        let reason = format!("object type {object_type:#04x}: {what} is not supported");
        return Ok(Description::Other(entry.kind, reason));
    }
    match aac::Config::from_asc(asc) {
        Ok(config) => {
            Ok(Description::Carried { codec: Codec::Aac(config), length_bytes: 0, data_reference })
        }
        Err(error) => refused(entry, &esds, error),
    }
}

pub(super) fn find_esds<'a>(
    entry: &BoxView<'a>,
    skip: usize,
) -> Result<Option<BoxView<'a>>, Error> {
    if let Some(esds) = entry.child_behind(skip, b"esds")? {
        return Ok(Some(esds));
    }
    match entry.child_behind(skip, b"wave")? {
        Some(wave) => wave.child(b"esds"),
        None => Ok(None),
    }
}

/// The object type indication and the decoder specific information (ISO/IEC 14496-1 sections
/// 7.2.6.5 to 7.2.6.7).
pub(super) fn read_esds<'a>(esds: &BoxView<'a>) -> Result<(u8, &'a [u8]), Error> {
    let mut fields = esds.fields();
    fields.version_and_flags()?;
    let expect = |tag: u8, came: u8, at: usize| {
        let reason = format!("descriptor {tag} expected, {came} came");
        if tag == came { Ok(()) } else { Err(esds.error_at(at, reason)) }
    };
    let descriptor = |fields: &mut super::boxes::Fields<'a, '_>, tag: u8| {
        let at = fields.at();
        expect(tag, fields.u8()?, at)?;
        let mut bytes = 0usize;
        for _ in 0..4 {
            let byte = fields.u8()?;
            bytes = bytes << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok::<usize, Error>(bytes)
    };
    descriptor(&mut fields, ES_DESCRIPTOR)?;
    fields.u16()?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.u16()?;
    }
    if flags & 0x40 != 0 {
        let url_bytes = fields.u8()?;
        fields.take(url_bytes.into())?;
    }
    if flags & 0x20 != 0 {
        fields.u16()?;
    }
    let config_bytes = descriptor(&mut fields, DECODER_CONFIG_DESCRIPTOR)?;
    let object_type = fields.u8()?;
    fields.take(12)?;
    if config_bytes <= 13 || !matches!(object_type, 0x40 | 0x66..=0x68) {
        return Ok((object_type, &[]));
    }
    let asc_bytes = descriptor(&mut fields, DECODER_SPECIFIC_INFO)?;
    Ok((object_type, fields.take(asc_bytes)?))
}

pub(super) fn data_reference(entry: &BoxView<'_>) -> Result<u16, Error> {
    let mut fields = entry.fields();
    fields.take(6)?;
    fields.u16()
}

/// A track whose configuration is of a kind that weir does not carry is passed over; one whose
/// configuration is broken is an error.
pub(super) fn refused(
    entry: &BoxView<'_>,
    place: &BoxView<'_>,
    error: Error,
) -> Result<Description, Error> {
    match error {
        Error::Unsupported { .. } => Ok(Description::Other(entry.kind, error.to_string())),
        error => Err(inside(place, error)),
    }
}

fn inside(place: &BoxView<'_>, error: Error) -> Error {
    match error {
        Error::Syntax { what, offset, reason } => {
            place.error_at(offset, format!("{what}: {reason}"))
        }
        error => place.error(error.to_string()),
    }
}

/// Fields of a VisualSampleEntry before its boxes (ISO/IEC 14496-12 section 12.1.3).
pub(super) const VISUAL_BYTES: usize = 78;
/// Fields of an AudioSampleEntry before its boxes (section 12.2.3).
pub(super) const AUDIO_BYTES: usize = 28;
/// An `av1C` box without open bitstream units.
const AV1C_BYTES: usize = 4;
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG_DESCRIPTOR: u8 = 4;
const DECODER_SPECIFIC_INFO: u8 = 5;
