//! A live stream: one publisher, packed once for each format, any number of viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use weir_media::{Frame, Track};
use weir_proto::rtp::pack::Packed;
use weir_time::Instant;

use crate::Error;
use crate::hub::Hub;
use crate::package::Package;
use crate::packing::{Packing, StreamPacker};
use crate::ring::{Bounds, Ring};

/// A stream that is happening now.
pub struct Live {
    name: String,
    tracks: Box<[Track]>,
    datagrams: Ring<Packed>,
    interleaved: Ring<Packed>,
    frames_refused: AtomicU64,
    package: Package,
    key_wanted: AtomicBool,
    is_pattern: AtomicBool,
}

impl Live {
    /// A stream of these tracks. Segments go on where those of `before` ended, a stream of the
    /// same name.
    pub(crate) fn new(name: &str, tracks: Vec<Track>, before: Option<&Live>) -> Self {
        Live {
            package: Package::new(&tracks, before.map(Live::package)),
            name: name.to_owned(),
            tracks: tracks.into_boxed_slice(),
            datagrams: Ring::new(Bounds::default()),
            interleaved: Ring::new(Bounds::default()),
            frames_refused: AtomicU64::new(0),
            key_wanted: AtomicBool::new(false),
            is_pattern: AtomicBool::new(false),
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

    /// Its ring in one packing.
    pub(crate) fn ring(&self, packing: Packing) -> &Ring<Packed> {
        match packing {
            // The sink of the classroom dialect refuses live streams.
            Packing::Datagrams | Packing::Classroom => &self.datagrams,
            Packing::Interleaved => &self.interleaved,
        }
    }

    /// Its segments for HLS and DASH.
    pub(crate) fn package(&self) -> &Package {
        &self.package
    }

    /// Frames that no packer took, because their payload was not what their codec says.
    pub fn frames_refused(&self) -> u64 {
        self.frames_refused.load(Ordering::Relaxed)
    }

    /// Asks the source for a key frame, soon. A source that makes its frames itself follows;
    /// others cannot.
    pub fn want_key(&self) {
        self.key_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked for a key frame since this was last called.
    pub(crate) fn take_key_wanted(&self) -> bool {
        self.key_wanted.swap(false, Ordering::Relaxed)
    }

    /// Whether it is the test pattern, so that its pictures bear their time.
    pub fn is_pattern(&self) -> bool {
        self.is_pattern.load(Ordering::Relaxed)
    }

    pub(crate) fn say_pattern(&self) {
        self.is_pattern.store(true, Ordering::Relaxed);
    }
}

/// Brings a live stream. The stream ends with it.
pub struct Publisher {
    live: Arc<Live>,
    hub: Arc<Hub>,
    /// In the order of [`Packing::ALL`].
    packers: Vec<StreamPacker>,
}

impl Publisher {
    pub(crate) fn new(hub: &Arc<Hub>, live: Arc<Live>) -> Result<Self, Error> {
        let packer = |packing| StreamPacker::new(live.tracks(), packing);
        let packers = Packing::ALL.into_iter().map(packer).collect::<Result<_, _>>()?;
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
        self.push_all(std::slice::from_ref(frame), now)
    }

    /// Says that a track's parameter sets are others from the next frame on. Segments go on behind
    /// a discontinuity, with a new initialization segment.
    pub fn change(&mut self, track: &Track) {
        self.live.package.change(track);
    }

    /// Brings the next frames, which viewers then get together.
    ///
    /// # Errors
    /// Why the first of those that were left out was left out; the stream goes on.
    pub fn push_all(&mut self, frames: &[Frame], now: Instant) -> Result<(), Error> {
        let mut slots = Packing::ALL.map(|_| Vec::with_capacity(frames.len()));
        let mut outcome = Ok(());
        for frame in frames {
            // In all packings or in none: the rings go on together.
            let packers = self.packers.iter_mut();
            match packers.map(|packer| packer.pack(frame)).collect::<Result<Vec<_>, _>>() {
                Ok(packed) => {
                    slots.iter_mut().zip(packed).for_each(|(slots, slot)| slots.push(slot));
                }
                Err(error) => {
                    self.live.frames_refused.fetch_add(1, Ordering::Relaxed);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        for (packing, slots) in Packing::ALL.into_iter().zip(slots) {
            self.live.ring(packing).push(slots, now);
        }
        self.live.package.push(frames, now);
        outcome
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.live.package.end();
        self.hub.remove(&self.live);
        for packing in Packing::ALL {
            self.live.ring(packing).close();
        }
    }
}
