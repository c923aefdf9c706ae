//! What stands in the tags of a track, read: in RTMP's messages, as they come.

use bytes::Bytes;

use super::codec::{self, Found};
use super::tag::{Coding, MediaHead, PICTURE, Part, SOUND};
use crate::nal::{AccessUnit, ParameterSets};
use crate::{Codec, Error, KeyKind, Kind, aac, av1, vp8, vp9};

/// Reads the data of the tags of one track, as they come: what it is coded in may change.
///
/// Of tags with several tracks in them that with number 0 is read.
#[derive(Clone, Debug)]
pub struct TrackReader {
    kind: Kind,
    coding: Option<Coding>,
    found: Option<Found>,
    /// The configuration that it was found by; empty where a frame said it.
    config: Bytes,
    revision: u32,
}

/// What the data of a tag was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A frame.
    Frame {
        /// The coded bytes, in the form that [`Codec`] states.
        payload: Bytes,
        /// Whether decoding can start there.
        key: KeyKind,
        /// CompositionTime: presentation less decoding.
        shift_ms: i32,
    },
    /// What a decoder must know; it may have been known.
    Config,
    /// A frame before its configuration.
    Early,
    /// A track beside the first.
    Beside,
    /// Nothing to be played: metadata, the end of a sequence, no data at all.
    Nothing,
}

impl TrackReader {
    /// A reader of tags of this kind.
    pub fn new(kind: Kind) -> Self {
        TrackReader { kind, coding: None, found: None, config: Bytes::new(), revision: 0 }
    }

    /// What the track is coded in, once that is known.
    pub fn codec(&self) -> Option<&Codec> {
        self.found.as_ref().map(|found| &found.codec)
    }

    /// How often that was found or has changed.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Reads the data of a tag.
    ///
    /// # Errors
    /// When it is coded in something that is not carried, or breaks its syntax. The next tag may
    /// be fine.
    pub fn read(&mut self, data: &Bytes) -> Result<Read, Error> {
        let kind = match self.kind {
            Kind::Video => PICTURE,
            Kind::Audio => SOUND,
        };
        if data.is_empty() {
            return Ok(Read::Nothing);
        }
        let Some(head) = MediaHead::read(kind, data) else {
            return Err(Error::syntax("FLV tag", data.len(), "it ends within its head"));
        };
        let end = match head.body_bytes {
            Some(bytes) => data.len().min(head.head_bytes + bytes as usize),
            None => data.len(),
        };
        let body = data.slice(head.head_bytes.min(end)..end);
        match head.part {
            Part::Other => Ok(Read::Nothing),
            Part::Multitrack => Ok(Read::Beside),
            Part::Config if body.is_empty() => Ok(Read::Nothing),
            Part::Config => self.configure(&head, body),
            Part::Frame if body.is_empty() => Ok(Read::Nothing),
            Part::Frame => self.frame(&head, body),
        }
    }

    fn configure(&mut self, head: &MediaHead, config: Bytes) -> Result<Read, Error> {
        if self.coding == Some(head.coding) && self.found.is_some() && self.config == config {
            return Ok(Read::Config);
        }
        // Those that frames say themselves.
        if codec::from_key_frame(head.coding, &[]).is_some() {
            return Ok(Read::Config);
        }
        let found = codec::from_config(head.coding, &config)?;
        self.set(head.coding, found, config);
        Ok(Read::Config)
    }

    fn frame(&mut self, head: &MediaHead, body: Bytes) -> Result<Read, Error> {
        let is_same = self.coding == Some(head.coding) && self.found.is_some();
        let is_start = head.key || !is_same;
        if let Some(found) = codec::from_key_frame(head.coding, &body).filter(|_| is_start) {
            match found {
                Ok(found) => {
                    let is_new = self.codec() != Some(&found.codec) || !is_same;
                    if is_new {
                        self.set(head.coding, found, Bytes::new());
                    }
                }
                Err(_) if !head.key => return Ok(Read::Early),
                Err(error) => return Err(error),
            }
        } else if !is_same {
            let found = match codec::from_frame(head.coding, &body) {
                Some(found) => found,
                None if codec::has_config(head.coding) => return Ok(Read::Early),
                None => codec::from_flags(head.coding, head.flags)?,
            };
            self.set(head.coding, found, Bytes::new());
        }
        let Some(Found { codec, length_bytes }) = &self.found else {
            return Ok(Read::Early);
        };
        let (payload, key) = in_form(codec, *length_bytes, head.key, body)?;
        Ok(Read::Frame { payload, key, shift_ms: head.shift_ms })
    }

    fn set(&mut self, coding: Coding, found: Found, config: Bytes) {
        if self.codec() != Some(&found.codec) {
            self.revision += 1;
        }
        self.coding = Some(coding);
        self.found = Some(found);
        self.config = config;
    }
}

/// A frame in the form that its codec states, and whether decoding can start there. Its head says
/// so too, which is believed of frames whose own bytes do not tell.
fn in_form(
    codec: &Codec,
    length_bytes: u8,
    said_key: bool,
    body: Bytes,
) -> Result<(Bytes, KeyKind), Error> {
    let either = |key: KeyKind| match key {
        KeyKind::Delta if said_key => KeyKind::Recovery,
        key => key,
    };
    match codec {
        Codec::H264(config) => nal_units(config, &body, length_bytes).map(|(p, k)| (p, either(k))),
        Codec::H265(config) => nal_units(config, &body, length_bytes).map(|(p, k)| (p, either(k))),
        Codec::Av1(_) => {
            let unit = av1::TemporalUnit::from_obus(&body)?;
            Ok((unit.payload, either(unit.key)))
        }
        Codec::Vp8(_) => Ok((body.clone(), either(vp8::key(&body)))),
        Codec::Vp9(_) => Ok((body.clone(), either(vp9::key(&body)))),
        Codec::Aac(_) => Ok((without_adts(body), KeyKind::Key)),
        _ => Ok((body, KeyKind::Key)),
    }
}

fn nal_units(
    config: &impl ParameterSets,
    body: &Bytes,
    length_bytes: u8,
) -> Result<(Bytes, KeyKind), Error> {
    let unit = AccessUnit::from_length_prefixed(config, body, length_bytes)?;
    Ok((unit.payload, unit.key))
}

/// Some encoders leave the header of their own framing before each access unit.
fn without_adts(body: Bytes) -> Bytes {
    match aac::AdtsHeader::read(&body) {
        Ok(header) if header.frame_bytes == body.len() => body.slice(header.header_bytes..),
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::BodyWriter;
    use crate::{Frame, MediaTime, TrackId, h264, opus};
    use weir_time::Instant;

    fn read(reader: &mut TrackReader, data: &[u8]) -> Result<Read, Error> {
        reader.read(&Bytes::copy_from_slice(data))
    }

    fn frame(payload: &[u8], key: KeyKind, pts_ms: i64, dts_ms: i64) -> Frame {
        let ms = |ms: i64| MediaTime::from_nanos(ms * 1_000_000);
        Frame {
            track: TrackId(0),
            pts: ms(pts_ms),
            dts: Some(ms(dts_ms)),
            duration: None,
            key,
            capture: None,
            arrival: Instant::ZERO,
            discontinuity: false,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let h264 = Codec::H264(h264::tests::config());
        let opus = Codec::Opus(opus::Config::plain(2));
        for (codec, kind) in [(h264, Kind::Video), (opus, Kind::Audio)] {
            let mut writer = BodyWriter::new(&codec).unwrap();
            let mut reader = TrackReader::new(kind);
            assert_eq!(read(&mut reader, &writer.config().unwrap()), Ok(Read::Config));
            assert_eq!((reader.codec(), reader.revision()), (Some(&codec), 1));
            let sent = frame(b"\0\0\0\x02\x65\x88", KeyKind::Key, 90, 50);
            let body = writer.frame(&sent, MediaTime::ZERO);
            let data = [body.head(), &sent.payload].concat();
            let shift_ms = if kind == Kind::Video { 40 } else { 0 };
            let payload = sent.payload.clone();
            let expected = Read::Frame { payload, key: KeyKind::Key, shift_ms };
            assert_eq!((body.time_ms, read(&mut reader, &data)), (50, Ok(expected)));
        }
    }

    #[test]
    fn a_configuration_that_changes_is_followed() {
        let mut reader = TrackReader::new(Kind::Audio);
        for (asc, revision) in [([0x12, 0x10], 1), ([0x12, 0x10], 1), ([0x11, 0x90], 2)] {
            read(&mut reader, &[&[0xaf, 0][..], &asc].concat()).unwrap();
            assert_eq!(reader.revision(), revision);
        }
    }

    #[test]
    fn frames_before_their_configuration_are_early() {
        let mut reader = TrackReader::new(Kind::Audio);
        assert_eq!(read(&mut reader, &[0xaf, 1, 0x21]), Ok(Read::Early));
        assert_eq!(read(&mut reader, &[]), Ok(Read::Nothing));
        assert_eq!(read(&mut reader, &[0xaf, 0]), Ok(Read::Nothing));
    }

    #[test]
    fn aac_with_the_header_of_its_own_framing_loses_it() {
        let mut reader = TrackReader::new(Kind::Audio);
        read(&mut reader, &[0xaf, 0, 0x11, 0x90]).unwrap();
        let adts = [0xaf, 1, 0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 0x21, 0x22];
        let Ok(Read::Frame { payload, .. }) = read(&mut reader, &adts) else { panic!() };
        assert_eq!(payload[..], [0x21, 0x22]);
    }

    #[test]
    fn aac_without_a_configuration_is_known_by_the_header_of_its_own_framing() {
        // Ant Media met encoders that send no sequence header.
        let mut reader = TrackReader::new(Kind::Audio);
        let adts = [0xaf, 1, 0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 0x21, 0x22];
        assert!(matches!(read(&mut reader, &adts), Ok(Read::Frame { .. })));
        assert_eq!(reader.codec(), Some(&Codec::Aac(aac::Config::lc(48_000, 2).unwrap())));
    }

    #[test]
    fn h264_without_a_configuration_is_known_by_the_parameter_sets_in_a_frame() {
        let config = h264::tests::config();
        let mut data = vec![0x17, 1, 0, 0, 0];
        for nal in [&config.sps[0][..], &config.pps[0], b"\x65\x88"] {
            data.extend((nal.len() as u32).to_be_bytes());
            data.extend(nal);
        }
        let mut reader = TrackReader::new(Kind::Video);
        assert_eq!(read(&mut reader, &[0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a]), Ok(Read::Early));
        let Ok(Read::Frame { payload, .. }) = read(&mut reader, &data) else { panic!() };
        assert_eq!(payload[..], *b"\0\0\0\x02\x65\x88");
        assert_eq!(reader.codec(), Some(&Codec::H264(config)));
    }

    #[test]
    fn what_is_not_carried_is_an_error_that_names_it() {
        let error = read(&mut TrackReader::new(Kind::Audio), &[0x2f, 1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "MP3 is not supported: in FLV");
        let error = read(&mut TrackReader::new(Kind::Video), b"\x90vvc1xxxx").unwrap_err();
        assert_eq!(error.to_string(), "H.266 is not supported: in FLV");
    }

    #[test]
    fn vp9_is_known_by_its_first_key_frame() {
        let mut reader = TrackReader::new(Kind::Video);
        assert_eq!(
            read(&mut reader, b"\x90vp09\x01\0\0\0\0\x0a\x82\x02\x02\x02\0\0"),
            Ok(Read::Config)
        );
        assert_eq!(reader.codec(), None);
        assert_eq!(read(&mut reader, b"\xa1vp09\x86\0\0"), Ok(Read::Early));
    }
}
