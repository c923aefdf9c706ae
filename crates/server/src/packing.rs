//! How frames become slots of RTP.

use bytes::{Bytes, BytesMut};
use weir_media::movie::Sample;
use weir_media::{Frame, KeyKind, Kind, Track};
use weir_proto::classroom::pack as classroom;
use weir_proto::rtp::pack::{PACKET_BYTES_MAX, Packed, Packer};

use crate::Error;
use crate::ring::{Slot, starts};

/// The ways in which RTP is packed.
///
/// Each has its own rings and chunks. What a viewer costs over TCP is for the most part the
/// system's work for each slice of its writes; on a connection there is no MTU to keep to, so
/// packets are large there and the slices few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Packing {
    /// Packets that fit Ethernet.
    Datagrams,
    /// Large packets, interleaved on a connection.
    Interleaved,
    /// Whole images, as the classroom dialect has them: of movies alone.
    Classroom,
}

/// The largest packet on a connection; the length field of RFC 2326 section 10.12 would allow
/// 65,535, and common players read at least that.
const INTERLEAVED_BYTES_MAX: usize = 16_000;

impl Packing {
    /// Those that live streams are packed in.
    pub(crate) const ALL: [Packing; 2] = [Packing::Datagrams, Packing::Interleaved];

    fn packet_bytes_max(self) -> usize {
        match self {
            Packing::Datagrams => PACKET_BYTES_MAX,
            Packing::Interleaved => INTERLEAVED_BYTES_MAX,
            Packing::Classroom => classroom::DATAGRAM_BYTES_MAX,
        }
    }
}

/// Sizes of what is allocated for frames that live together: few sizes, so that the memory of
/// those that have gone fits those that come.
const ROOM_STEP_BYTES: usize = 64 * 1024;

/// Makes slots of the frames of a stream.
pub(crate) struct StreamPacker {
    tracks: Vec<TrackPacker>,
}

struct TrackPacker {
    format: Format,
    is_picture: bool,
    has_pictures: bool,
}

enum Format {
    Rtp(Packer),
    Classroom(Track),
}

impl StreamPacker {
    /// A packer for all tracks of a stream.
    pub(crate) fn new(tracks: &[Track], packing: Packing) -> Result<Self, Error> {
        let has_pictures = tracks.iter().any(|track| track.codec.kind() == Kind::Video);
        let packer = |track: &Track| {
            let format = match packing {
                Packing::Classroom => Format::Classroom(track.clone()),
                _ => Format::Rtp(Packer::new(track, packing.packet_bytes_max())?),
            };
            let is_picture = track.codec.kind() == Kind::Video;
            Ok(TrackPacker { format, is_picture, has_pictures })
        };
        Ok(StreamPacker { tracks: tracks.iter().map(packer).collect::<Result<_, Error>>()? })
    }

    /// Packs one frame.
    pub(crate) fn pack(&mut self, frame: &Frame) -> Result<Slot<Packed>, Error> {
        self.pack_into(frame, &mut BytesMut::new())
    }

    /// Room for `frames` frames of `bytes` bytes together, which live and die together.
    pub(crate) fn room(frames: usize, bytes: usize) -> BytesMut {
        let headers = 8 * (bytes / PACKET_BYTES_MAX + 2 * frames);
        BytesMut::with_capacity((bytes + headers).next_multiple_of(ROOM_STEP_BYTES))
    }

    /// A slot without any packet, for a sample that is left out: cursors pass over it.
    pub(crate) fn left_out(&self, sample: &Sample) -> Slot<Packed> {
        let track = self.tracks.get(usize::from(sample.track.0));
        Slot {
            track: sample.track,
            dts: sample.dts,
            pts: sample.pts,
            end: sample.pts + sample.duration,
            starts: false,
            picture: track.is_some_and(|track| track.is_picture),
            bytes: 0,
            wire: Packed {
                track: sample.track,
                rtp_ticks: 0,
                pts: sample.pts,
                dts: Some(sample.dts),
                duration: Some(sample.duration),
                key: KeyKind::Delta,
                pieces: Box::default(),
                bytes: Bytes::new(),
            },
        }
    }

    /// Packs one frame into `room`, which is empty and may have capacity to share with others.
    pub(crate) fn pack_into(
        &mut self,
        frame: &Frame,
        room: &mut BytesMut,
    ) -> Result<Slot<Packed>, Error> {
        let track = self.tracks.get_mut(usize::from(frame.track.0));
        track.ok_or(Error::UnknownTrack(frame.track))?.pack_into(frame, room)
    }
}

impl TrackPacker {
    fn pack_into(&mut self, frame: &Frame, room: &mut BytesMut) -> Result<Slot<Packed>, Error> {
        let wire = match &mut self.format {
            Format::Rtp(packer) => packer.pack_into(frame, room)?,
            Format::Classroom(track) => classroom::pack(track, frame),
        };
        Ok(Slot {
            track: frame.track,
            dts: frame.dts.unwrap_or(frame.pts),
            pts: frame.pts,
            end: frame.pts + frame.duration.unwrap_or_default(),
            starts: starts(frame.key, self.is_picture, self.has_pictures),
            picture: self.is_picture,
            bytes: wire.bytes.len(),
            wire,
        })
    }
}
