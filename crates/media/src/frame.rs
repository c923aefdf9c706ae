//! The frame: what every protocol brings and every protocol takes.

use bytes::Bytes;
use weir_time::{Instant, Utc};

use crate::{MediaTime, TrackId};

/// One coded picture or one coded block of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The track that it belongs to.
    pub track: TrackId,
    /// When it is shown or heard.
    pub pts: MediaTime,
    /// When it is decoded. `None` where the protocol that brought it does not say (RTSP, WHIP):
    /// see [`crate::h264::DtsClock`].
    pub dts: Option<MediaTime>,
    /// How long it lasts; `None` when that is known only once the next one comes.
    pub duration: Option<MediaTime>,
    /// Whether decoding can start here.
    pub key: KeyKind,
    /// When it was captured, if anybody knows.
    pub capture: Option<Capture>,
    /// When its last byte reached this host.
    pub arrival: Instant,
    /// Its times do not follow from those of the frame before it in the track.
    pub discontinuity: bool,
    /// The coded bytes, in the form that [`crate::Codec`] states.
    pub payload: Bytes,
}

/// Whether decoding can start at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// It needs earlier frames.
    Delta,
    /// Decoding can start here (an H.264 IDR picture; every frame of most sound codecs).
    Key,
    /// Decoding can start here and shows a whole picture some frames later (H.264 recovery
    /// point, gradual refresh), or with undecodable leading pictures.
    Recovery,
}

impl KeyKind {
    /// Whether a viewer may be started here.
    pub fn starts(self) -> bool {
        !matches!(self, KeyKind::Delta)
    }
}

/// When a frame was captured, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The time of day of the capture.
    pub at: Utc,
    /// Where the time came from.
    pub source: CaptureSource,
}

/// Where a capture time came from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaptureSource {
    /// The time code strip in the picture, or our own encoder.
    TimeCode,
    /// An RTCP sender report of the publisher, by its clock.
    SenderReport,
    /// The arrival at this host: a bound, not a capture time.
    Arrival,
}
