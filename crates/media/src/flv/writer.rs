//! Writes FLV files.

use bytes::{BufMut, Bytes, BytesMut};

use super::tag::{A_LAW, AAC, AVC, HEAD_BYTES, MU_LAW, PICTURE, SOUND};
use crate::h264::DtsClock;
use crate::{Codec, Error, Frame, Kind, MediaTime, Track, TrackId, g711};

/// Makes an FLV file of frames: the head, then a tag for each frame.
///
/// One track of picture and one of sound: H.264, AAC, G.711 at 8 kHz in the older tags; AV1 in those
/// of Enhanced RTMP. The file's time starts with the decoding time of the first frame that is
/// written; what is decoded before that is written at 0.
#[derive(Debug)]
pub struct Writer {
    tracks: Vec<TrackWriter>,
    origin: Option<MediaTime>,
}

#[derive(Debug)]
struct TrackWriter {
    id: TrackId,
    codec: Codec,
    clock: DtsClock,
    last_ms: u32,
}

impl Writer {
    /// A writer of a file with these tracks. An error if there is none, or more than one of
    /// picture or of sound, or one in a codec that is not written.
    pub fn new(tracks: &[Track]) -> Result<Self, Error> {
        if tracks.is_empty() {
            return Err(Error::NoTrack { skipped: Vec::new() });
        }
        for kind in [Kind::Video, Kind::Audio] {
            let count = tracks.iter().filter(|track| track.codec.kind() == kind).count();
            if count > 1 {
                let reason = format!("one track of a kind expected, {count} came");
                return Err(Error::unsupported("FLV", reason));
            }
        }
        for track in tracks {
            check(&track.codec)?;
        }
        let tracks = tracks.iter().map(|track| TrackWriter {
            id: track.id,
            codec: track.codec.clone(),
            clock: clock(&track.codec),
            last_ms: 0,
        });
        Ok(Writer { tracks: tracks.collect(), origin: None })
    }

    /// The start of the file: its head and the decoders' configurations.
    pub fn header(&self) -> Bytes {
        let has = |kind| self.tracks.iter().any(|track| track.codec.kind() == kind);
        let flags = u8::from(has(Kind::Video)) | u8::from(has(Kind::Audio)) << 2;
        let mut out = BytesMut::new();
        out.put_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
        for track in &self.tracks {
            if let Some((kind, config)) = track.config() {
                put_tag(&mut out, kind, 0, &config, &[]);
            }
        }
        out.freeze()
    }

    /// The tag of a frame. Frames come in the order of decoding over all tracks. An error if
    /// the file has no such track, or if the frame has 16 MB or more.
    pub fn push(&mut self, frame: &Frame) -> Result<Bytes, Error> {
        let Some(track) = self.tracks.iter_mut().find(|track| track.id == frame.track) else {
            return Err(Error::UnknownTrack(frame.track));
        };
        if frame.payload.len() > FRAME_BYTES_MAX {
            let reason = format!("{} bytes, at most {FRAME_BYTES_MAX}", frame.payload.len());
            return Err(Error::unsupported("FLV frame", reason));
        }
        let dts = match frame.dts {
            Some(dts) => dts,
            None if track.codec.kind() == Kind::Video => track.clock.push(frame.pts),
            None => frame.pts,
        };
        let origin = *self.origin.get_or_insert(dts);
        let ms = |time: MediaTime| (time - origin).to_ticks(1000);
        let dts_ms = ms(dts).clamp(0, i64::from(u32::MAX)) as u32;
        track.last_ms = track.last_ms.max(dts_ms);
        let shift_ms = ms(frame.pts).saturating_sub(i64::from(track.last_ms));
        let shift_ms = shift_ms.clamp(-SHIFT_MS_MAX, SHIFT_MS_MAX) as i32;
        let (kind, head) = track.head(frame.key.starts(), shift_ms);
        let mut out = BytesMut::with_capacity(frame.payload.len() + 32);
        put_tag(&mut out, kind, track.last_ms, &head, &frame.payload);
        Ok(out.freeze())
    }
}

impl TrackWriter {
    /// The data of the tag with the decoder's configuration, if the codec has one.
    fn config(&self) -> Option<(u8, Vec<u8>)> {
        match &self.codec {
            Codec::H264(config) => {
                Some((PICTURE, [&[0x10 | AVC, 0, 0, 0, 0][..], &config.to_avcc()].concat()))
            }
            Codec::H265(config) => {
                let hvcc = config.to_hvcc().ok()?;
                Some((PICTURE, [b"\x90hvc1", &hvcc[..]].concat()))
            }
            Codec::Av1(config) => Some((PICTURE, [b"\x90av01", &config.record[..]].concat())),
            Codec::Aac(config) => {
                Some((SOUND, [&[AAC << 4 | SOUND_FORM, 0], &config.asc[..]].concat()))
            }
            _ => None,
        }
    }

    /// The tag's kind, and what stands before a frame in it.
    fn head(&self, is_key: bool, shift_ms: i32) -> (u8, Vec<u8>) {
        let frame = if is_key { 0x10 } else { 0x20 };
        match &self.codec {
            Codec::H264(_) => {
                let [_, s0, s1, s2] = shift_ms.to_be_bytes();
                (PICTURE, vec![frame | AVC, 1, s0, s1, s2])
            }
            Codec::H265(_) => {
                let [_, s0, s1, s2] = shift_ms.to_be_bytes();
                (PICTURE, [&[0x80 | frame | 1][..], b"hvc1", &[s0, s1, s2]].concat())
            }
            Codec::Av1(_) => (PICTURE, [&[0x80 | frame | 1][..], b"av01"].concat()),
            Codec::G711(config) => {
                let format = match config.law {
                    g711::Law::A => A_LAW,
                    g711::Law::Mu => MU_LAW,
                };
                (SOUND, vec![format << 4 | 2 | u8::from(config.channels == 2)])
            }
            _ => (SOUND, vec![AAC << 4 | SOUND_FORM, 1]),
        }
    }
}

/// Decoding times of frames that come without.
fn clock(codec: &Codec) -> DtsClock {
    let said = match codec {
        Codec::H264(config) => config.picture().ok().map(|p| (p.frame_rate, p.reorder_depth)),
        Codec::H265(config) => config.picture().ok().map(|p| (p.frame_rate, p.reorder_depth)),
        _ => None,
    };
    let (rate, depth) = said.unwrap_or((None, 0));
    let rate = rate.filter(|&rate| rate > 0.0);
    let duration = rate.map(|rate| MediaTime::from_nanos((1e9 / rate) as i64));
    DtsClock::new(depth, duration)
}

fn check(codec: &Codec) -> Result<(), Error> {
    match codec {
        Codec::H264(_) | Codec::H265(_) | Codec::Av1(_) | Codec::Aac(_) => Ok(()),
        Codec::G711(config) if config.sample_rate_hz == 8000 && config.channels <= 2 => Ok(()),
        Codec::G711(config) => {
            let reason = format!("8000 Hz expected, {} came", config.sample_rate_hz);
            Err(Error::unsupported("G.711 in FLV", reason))
        }
        codec => Err(Error::unsupported(codec.name(), "written into FLV")),
    }
}

fn put_tag(out: &mut BytesMut, kind: u8, time_ms: u32, head: &[u8], body: &[u8]) {
    let bytes = (head.len() + body.len()) as u32;
    out.put_u8(kind);
    out.put_uint(bytes.into(), 3);
    out.put_uint((time_ms & 0xff_ffff).into(), 3);
    out.put_u8((time_ms >> 24) as u8);
    out.put_uint(0, 3);
    out.put_slice(head);
    out.put_slice(body);
    out.put_u32(bytes + HEAD_BYTES as u32);
}

/// 44 kHz, 16 bits, stereo: what the file format wants to be written for AAC of any form.
const SOUND_FORM: u8 = 0x0f;
/// DataSize has 24 bits.
const FRAME_BYTES_MAX: usize = (1 << 24) - 32;
/// CompositionTime has 24 bits with its sign.
const SHIFT_MS_MAX: i64 = (1 << 23) - 1;
