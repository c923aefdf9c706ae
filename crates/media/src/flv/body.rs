//! What stands in the tags of a track, written: in a file and in RTMP alike.

use super::tag::{A_LAW, AAC, AVC, MU_LAW};
use crate::h264::DtsClock;
use crate::{Codec, Error, Frame, MediaTime, g711};

/// Makes the data of the tags of one track.
///
/// H.264, AAC and G.711 at 8 kHz are written in the older tags, other codecs in those of Enhanced
/// RTMP. Times are milliseconds from an origin that the caller sets; they never go back within
/// the track, but at a discontinuity of more than a second.
#[derive(Clone, Debug)]
pub struct BodyWriter {
    codec: Codec,
    clock: DtsClock,
    last_ms: i64,
}

/// What stands before a frame's payload in the data of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// The tag's time: of decoding, in milliseconds from the origin, not below 0, not wrapped.
    pub time_ms: i64,
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
}

impl Body {
    /// The bytes before the payload.
    pub fn head(&self) -> &[u8] {
        self.head.get(..usize::from(self.head_bytes)).unwrap_or(&[])
    }
}

impl BodyWriter {
    /// A writer of frames of this codec. An error if it is not written into FLV.
    pub fn new(codec: &Codec) -> Result<Self, Error> {
        match codec {
            Codec::H264(_) | Codec::H265(_) | Codec::Av1(_) | Codec::Vp8(_) | Codec::Vp9(_) => {}
            Codec::Aac(_) | Codec::Opus(_) => {}
            Codec::G711(config) if config.sample_rate_hz == 8000 && config.channels <= 2 => {}
            Codec::G711(config) => {
                let reason = format!("8000 Hz expected, {} came", config.sample_rate_hz);
                return Err(Error::unsupported("G.711 in FLV", reason));
            }
            codec => return Err(Error::unsupported(codec.name(), "written into FLV")),
        }
        Ok(BodyWriter { codec: codec.clone(), clock: clock(codec), last_ms: 0 })
    }

    /// What it writes frames of.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The data of the tag with the decoder's configuration, if the codec has one.
    pub fn config(&self) -> Option<Vec<u8>> {
        match &self.codec {
            Codec::H264(config) => {
                Some([&[0x10 | AVC, 0, 0, 0, 0][..], &config.to_avcc()].concat())
            }
            Codec::H265(config) => Some([b"\x90hvc1", &config.to_hvcc().ok()?[..]].concat()),
            Codec::Av1(config) => Some([b"\x90av01", &config.record[..]].concat()),
            Codec::Vp9(config) => Some([b"\x90vp09", &config.to_record()[..]].concat()),
            Codec::Aac(config) => Some([&[AAC << 4 | SOUND_FORM, 0], &config.asc[..]].concat()),
            Codec::Opus(config) => Some([b"\x90Opus", &config.to_opus_head()[..]].concat()),
            _ => None,
        }
    }

    /// What stands before a frame, and when it is. Frames come in the order of decoding.
    pub fn frame(&mut self, frame: &Frame, origin: MediaTime) -> Body {
        if frame.discontinuity {
            self.clock.restart();
        }
        let dts = self.dts(frame);
        let ms = |time: MediaTime| (time - origin).to_ticks(1000);
        let dts_ms = ms(dts).max(0);
        let is_anew = frame.discontinuity && self.last_ms - dts_ms > STEP_BACK_MS;
        let time_ms = if is_anew { dts_ms } else { self.last_ms.max(dts_ms) };
        self.last_ms = time_ms;
        let shift_ms = ms(frame.pts).saturating_sub(time_ms);
        let shift_ms = shift_ms.clamp(-SHIFT_MS_MAX, SHIFT_MS_MAX) as i32;
        let mut body = Body { time_ms, head: [0; HEAD_BYTES_MAX], head_bytes: 0 };
        self.put_head(frame.key.starts(), shift_ms, &mut body);
        body
    }

    /// When the first frame of the track is decoded, without taking it.
    pub(super) fn first_dts(&self, frame: &Frame) -> MediaTime {
        self.clone().dts(frame)
    }

    /// When a frame is decoded. Sound and pictures of codecs that keep their order are when they
    /// are heard and seen.
    fn dts(&mut self, frame: &Frame) -> MediaTime {
        match (frame.dts, &self.codec) {
            (Some(dts), _) => dts,
            (None, Codec::H264(_) | Codec::H265(_)) => self.clock.push(frame.pts),
            (None, _) => frame.pts,
        }
    }

    fn put_head(&self, is_key: bool, shift_ms: i32, body: &mut Body) {
        let kind = if is_key { 0x10 } else { 0x20 };
        let [_, s0, s1, s2] = shift_ms.to_be_bytes();
        match &self.codec {
            Codec::H264(_) => body.put(&[kind | AVC, 1, s0, s1, s2]),
            Codec::H265(_) => body.put(&[0x81 | kind, b'h', b'v', b'c', b'1', s0, s1, s2]),
            Codec::Av1(_) => body.put(&[0x81 | kind, b'a', b'v', b'0', b'1']),
            Codec::Vp8(_) => body.put(&[0x81 | kind, b'v', b'p', b'0', b'8']),
            Codec::Vp9(_) => body.put(&[0x81 | kind, b'v', b'p', b'0', b'9']),
            Codec::Opus(_) => body.put(b"\x91Opus"),
            Codec::G711(config) => {
                let format = match config.law {
                    g711::Law::A => A_LAW,
                    g711::Law::Mu => MU_LAW,
                };
                body.put(&[format << 4 | 2 | u8::from(config.channels == 2)]);
            }
            _ => body.put(&[AAC << 4 | SOUND_FORM, 1]),
        }
    }
}

impl Body {
    fn put(&mut self, head: &[u8]) {
        if let Some(room) = self.head.get_mut(..head.len()) {
            room.copy_from_slice(head);
            self.head_bytes = head.len() as u8;
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

const HEAD_BYTES_MAX: usize = 8;
/// A discontinuity that goes back by more is a new time line.
const STEP_BACK_MS: i64 = 1000;
/// 44 kHz, 16 bits, stereo: what the file format wants to be written for AAC of any form.
const SOUND_FORM: u8 = 0x0f;
/// CompositionTime has 24 bits with its sign.
const SHIFT_MS_MAX: i64 = (1 << 23) - 1;
