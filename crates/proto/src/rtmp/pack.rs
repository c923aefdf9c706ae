//! Frames into messages, once for all viewers.

use bytes::{Bytes, BytesMut};
use weir_media::flv::BodyWriter;
use weir_media::{Codec, Frame, KeyKind, Kind as MediaKind, MediaTime, Track, TrackId};

use super::chunk::{ChunkStreamId, Chunks, chunked_bytes};
use super::message::{Kind, StreamId};
use super::metadata::{self, For};

/// The chunk size that servers and clients here set: large, so that few headers stand between, and
/// within what everybody takes.
pub const FAN_OUT_CHUNK_BYTES: u32 = 60_000;

/// A frame as a message in chunks: the bytes that go to every viewer as they are.
///
/// The first chunk has a header of type 0 with the whole time stamp, so that it can be read
/// whatever was sent before; all bytes are one message, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The track that the frame belongs to.
    pub track: TrackId,
    /// When the frame is shown or heard.
    pub pts: MediaTime,
    /// When it is decoded, as its time stamp says, in whole milliseconds.
    pub dts: MediaTime,
    /// How long it lasts, where that is known.
    pub duration: Option<MediaTime>,
    /// Whether decoding can start here.
    pub key: KeyKind,
    /// Its time stamp.
    pub time_ms: u32,
    /// What is sent.
    pub bytes: Bytes,
}

/// Packs the frames of a stream: one track of picture, one of sound.
#[derive(Clone, Debug)]
pub struct Packer {
    tracks: Vec<TrackPacker>,
    described: Vec<Track>,
    stream: StreamId,
    chunk_bytes: u32,
    origin: MediaTime,
}

#[derive(Clone, Debug)]
struct TrackPacker {
    id: TrackId,
    kind: Kind,
    bodies: BodyWriter,
}

impl Packer {
    /// A packer for the players of a server: message stream 1, chunks of [`FAN_OUT_CHUNK_BYTES`].
    /// The stream's time `origin` has the time stamp 0; what is decoded before has it too.
    ///
    /// # Errors
    /// When there is no track, more than one of picture or of sound, or one in a codec that RTMP
    /// does not carry.
    pub fn new(tracks: &[Track], origin: MediaTime) -> Result<Self, Error> {
        Packer::with(tracks, origin, StreamId::FIRST, FAN_OUT_CHUNK_BYTES)
    }

    /// A packer for another message stream and chunk size: for a publisher, as
    /// [`crate::rtmp::client::Event::Publishing`] says them.
    ///
    /// # Errors
    /// As of [`Packer::new`].
    pub fn with(
        tracks: &[Track],
        origin: MediaTime,
        stream: StreamId,
        chunk_bytes: u32,
    ) -> Result<Self, Error> {
        if tracks.is_empty() {
            return Err(Error::NoTrack);
        }
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let count = tracks.iter().filter(|track| track.codec.kind() == kind).count();
            if count > 1 {
                return Err(Error::Tracks { kind: name(kind), count });
            }
        }
        let packer = |track: &Track| {
            let kind = match track.codec.kind() {
                MediaKind::Video => Kind::Video,
                MediaKind::Audio => Kind::Audio,
            };
            Ok(TrackPacker { id: track.id, kind, bodies: writer(&track.codec)? })
        };
        Ok(Packer {
            tracks: tracks.iter().map(packer).collect::<Result<_, Error>>()?,
            described: tracks.to_vec(),
            stream,
            chunk_bytes,
            origin,
        })
    }

    /// What comes before the first frame: metadata, then the decoders' configurations, at the time
    /// stamp of that frame. A whole number of messages.
    pub fn opening(&self, time_ms: u32, software: &str, whom: For) -> Bytes {
        let mut out = BytesMut::new();
        let body = metadata::body(&self.described, software, whom);
        self.chunks(Kind::DataAmf0, time_ms).write(&[&body], &mut out);
        out.extend_from_slice(&self.configurations(time_ms));
        out.freeze()
    }

    /// The decoders' configurations alone: what has to be sent again when they change.
    pub fn configurations(&self, time_ms: u32) -> Bytes {
        let mut out = BytesMut::new();
        for track in &self.tracks {
            if let Some(config) = track.bodies.config() {
                self.chunks(track.kind, time_ms).write(&[&config], &mut out);
            }
        }
        out.freeze()
    }

    /// Packs one frame. Frames of each track come in the order of decoding.
    ///
    /// # Errors
    /// When the stream has no such track, or the frame is too large for a message. The packer can
    /// go on with the next frame.
    pub fn pack(&mut self, frame: &Frame) -> Result<Packed, Error> {
        self.pack_into(frame, &mut BytesMut::new())
    }

    /// Packs one frame into `room`, which is empty: into its capacity, if that is enough, so that
    /// many frames can share one allocation. What is left of it stays.
    ///
    /// # Errors
    /// As of [`Packer::pack`].
    pub fn pack_into(&mut self, frame: &Frame, room: &mut BytesMut) -> Result<Packed, Error> {
        let Packer { stream, chunk_bytes, origin, .. } = *self;
        let track = self.tracks.iter_mut().find(|track| track.id == frame.track);
        let track = track.ok_or(Error::UnknownTrack(frame.track))?;
        let bytes = frame.payload.len();
        if bytes > FRAME_BYTES_MAX {
            return Err(Error::FrameSize { bytes });
        }
        let body = track.bodies.frame(frame, origin);
        // Time stamps wrap at 32 bits (section 5.3.1).
        let time_ms = body.time_ms as u32;
        let chunks =
            Chunks { on: chunk_stream(track.kind), kind: track.kind, time_ms, stream, chunk_bytes };
        let needed = chunked_bytes(body.head().len() + bytes, chunk_bytes, time_ms);
        if room.capacity() < needed {
            *room = BytesMut::with_capacity(needed);
        }
        chunks.write(&[body.head(), &frame.payload], room);
        Ok(Packed {
            track: frame.track,
            pts: frame.pts,
            dts: origin + MediaTime::from_ticks(body.time_ms, 1000),
            duration: frame.duration,
            key: frame.key,
            time_ms,
            bytes: room.split().freeze(),
        })
    }

    fn chunks(&self, kind: Kind, time_ms: u32) -> Chunks {
        let Packer { stream, chunk_bytes, .. } = *self;
        Chunks { on: chunk_stream(kind), kind, time_ms, stream, chunk_bytes }
    }
}

/// Whether RTMP carries this codec.
///
/// # Errors
/// Names the codec if not.
pub fn carries(codec: &Codec) -> Result<(), Error> {
    writer(codec).map(drop)
}

fn writer(codec: &Codec) -> Result<BodyWriter, Error> {
    BodyWriter::new(codec).map_err(|error| Error::Codec { name: codec.name(), error })
}

fn chunk_stream(kind: Kind) -> ChunkStreamId {
    match kind {
        Kind::Audio => ChunkStreamId::AUDIO,
        Kind::Video => ChunkStreamId::VIDEO,
        _ => ChunkStreamId::DATA,
    }
}

fn name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "picture",
        MediaKind::Audio => "sound",
    }
}

/// Why a stream or a frame cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No tracks at all.
    #[error("a stream without tracks")]
    NoTrack,
    /// Several tracks of a kind.
    #[error("RTMP carries one track of {kind}, these are {count}")]
    Tracks {
        /// Of which kind.
        kind: &'static str,
        /// How many.
        count: usize,
    },
    /// RTMP does not carry the codec, or not in this form.
    #[error("RTMP cannot carry {name} here: {error}")]
    Codec {
        /// The codec's name.
        name: &'static str,
        /// What about it.
        error: weir_media::Error,
    },
    /// The frame belongs to no track of the stream.
    #[error("the stream has no track {}", .0.0)]
    UnknownTrack(TrackId),
    /// The frame is too large for the length of a message.
    #[error("frame of {bytes} bytes: a message holds at most {FRAME_BYTES_MAX}")]
    FrameSize {
        /// The size of the payload.
        bytes: usize,
    },
}

/// The length of a message has 24 bits; a head stands before the payload.
const FRAME_BYTES_MAX: usize = (1 << 24) - 32;

#[cfg(test)]
pub(crate) mod tests;
