//! How frames become slots of RTP.

use bytes::BytesMut;
use weir_media::{Frame, Kind, Track};
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

    /// Packs frames that live and die together into one allocation; gives its size too.
    pub(crate) fn pack_all(
        &mut self,
        frames: &[Frame],
    ) -> Result<(Vec<Slot<Packed>>, usize), Error> {
        let bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
        let headers = 8 * (bytes / PACKET_BYTES_MAX + 2 * frames.len());
        let room_bytes = (bytes + headers).next_multiple_of(ROOM_STEP_BYTES);
        let mut room = BytesMut::with_capacity(room_bytes);
        let mut slots = Vec::with_capacity(frames.len());
        for frame in frames {
            slots.push(self.pack_into(frame, &mut room)?);
        }
        Ok((slots, room_bytes))
    }

    fn pack_into(&mut self, frame: &Frame, room: &mut BytesMut) -> Result<Slot<Packed>, Error> {
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
