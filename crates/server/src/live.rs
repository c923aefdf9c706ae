//! A live stream: one publisher, packed once for each format, any number of viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_media::{Frame, Kind, MediaTime, Track};
use weir_proto::rtp::pack::{PACKET_BYTES_MAX, Packed, Packer};
use weir_time::Instant;

use crate::Error;
use crate::hub::Hub;
use crate::ring::{Bounds, Ring, Slot, starts};

/// A stream that is happening now.
pub struct Live {
    name: String,
    tracks: Box<[Track]>,
    pub(crate) rtp: Ring<Packed>,
    frames_refused: AtomicU64,
}

impl Live {
    pub(crate) fn new(name: &str, tracks: Vec<Track>) -> Self {
        Live {
            name: name.to_owned(),
            tracks: tracks.into_boxed_slice(),
            rtp: Ring::new(Bounds::default()),
            frames_refused: AtomicU64::new(0),
        }
    }

    /// Its name in the hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is made of; a track's number is its place.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Frames that no packer took, because their payload was not what their codec says.
    pub fn frames_refused(&self) -> u64 {
        self.frames_refused.load(Ordering::Relaxed)
    }
}

/// Brings a live stream. The stream ends with it.
pub struct Publisher {
    live: Arc<Live>,
    hub: Arc<Hub>,
    packers: Vec<RtpPacker>,
}

impl Publisher {
    pub(crate) fn new(hub: &Arc<Hub>, live: Arc<Live>) -> Result<Self, Error> {
        let packers = RtpPacker::for_tracks(live.tracks())?;
        Ok(Publisher { live, hub: Arc::clone(hub), packers })
    }

    /// The stream that it brings.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Brings the next frame, in order of decoding. `now` is the time of this moment.
    ///
    /// A frame that cannot be packed is left out and counted.
    ///
    /// # Errors
    /// Why the frame was left out; the stream goes on.
    pub fn push(&mut self, frame: &Frame, now: Instant) -> Result<(), Error> {
        let packer = self.packers.get_mut(usize::from(frame.track.0));
        let packed = packer.ok_or(Error::UnknownTrack(frame.track)).and_then(|p| p.pack(frame));
        match packed {
            Ok(slot) => {
                self.live.rtp.push(slot, now);
                Ok(())
            }
            Err(error) => {
                self.live.frames_refused.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.hub.remove(&self.live);
        self.live.rtp.close();
    }
}

/// Makes ring slots of one track's frames.
pub(crate) struct RtpPacker {
    packer: Packer,
    is_picture: bool,
    has_pictures: bool,
    end: MediaTime,
}

impl RtpPacker {
    /// A packer for each track of a stream.
    pub(crate) fn for_tracks(tracks: &[Track]) -> Result<Vec<Self>, Error> {
        let has_pictures = tracks.iter().any(|track| track.codec.kind() == Kind::Video);
        let packer = |track: &Track| {
            Ok(RtpPacker {
                packer: Packer::new(track, PACKET_BYTES_MAX)?,
                is_picture: track.codec.kind() == Kind::Video,
                has_pictures,
                end: MediaTime::ZERO,
            })
        };
        tracks.iter().map(packer).collect()
    }

    pub(crate) fn pack(&mut self, frame: &Frame) -> Result<Slot<Packed>, Error> {
        let wire = self.packer.pack(frame)?;
        // Without a duration a frame lasts until something else begins.
        self.end = frame.pts + frame.duration.unwrap_or(MediaTime::ZERO);
        Ok(Slot {
            track: frame.track,
            dts: frame.dts.unwrap_or(frame.pts),
            pts: frame.pts,
            end: self.end,
            starts: starts(frame.key, self.is_picture, self.has_pictures),
            picture: self.is_picture,
            bytes: wire.bytes.len(),
            wire,
        })
    }
}
