//! Writes FLV files.

use bytes::{BufMut, Bytes, BytesMut};

use super::body::BodyWriter;
use super::tag::{HEAD_BYTES, PICTURE, SOUND};
use crate::{Error, Frame, Kind, MediaTime, Track, TrackId};

/// Makes an FLV file of frames: the head, then a tag for each frame.
///
/// One track of picture and one of sound: H.264, AAC, G.711 at 8 kHz in the older tags; H.265, AV1,
/// VP8, VP9 and Opus in those of Enhanced RTMP. The file's time starts with the decoding time of
/// the first frame that is written; what is decoded before that is written at 0.
#[derive(Debug)]
pub struct Writer {
    tracks: Vec<TrackWriter>,
    origin: Option<MediaTime>,
}

#[derive(Debug)]
struct TrackWriter {
    id: TrackId,
    kind: u8,
    bodies: BodyWriter,
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
        let tracks = tracks.iter().map(|track| {
            let kind = match track.codec.kind() {
                Kind::Video => PICTURE,
                Kind::Audio => SOUND,
            };
            Ok(TrackWriter { id: track.id, kind, bodies: BodyWriter::new(&track.codec)? })
        });
        Ok(Writer { tracks: tracks.collect::<Result<_, Error>>()?, origin: None })
    }

    /// The start of the file: its head and the decoders' configurations.
    pub fn header(&self) -> Bytes {
        let has = |kind| self.tracks.iter().any(|track| track.kind == kind);
        let flags = u8::from(has(PICTURE)) | u8::from(has(SOUND)) << 2;
        let mut out = BytesMut::new();
        out.put_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
        for track in &self.tracks {
            if let Some(config) = track.bodies.config() {
                put_tag(&mut out, track.kind, 0, &config, &[]);
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
        let origin = match (self.origin, frame.dts) {
            (Some(origin), _) => origin,
            (None, Some(dts)) => dts,
            (None, None) => track.bodies.first_dts(frame),
        };
        self.origin = Some(origin);
        let body = track.bodies.frame(frame, origin);
        let time_ms = body.time_ms.min(i64::from(u32::MAX)) as u32;
        let mut out = BytesMut::with_capacity(frame.payload.len() + 32);
        put_tag(&mut out, track.kind, time_ms, body.head(), &frame.payload);
        Ok(out.freeze())
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

/// DataSize has 24 bits.
const FRAME_BYTES_MAX: usize = (1 << 24) - 32;
