//! What differs for viewers of the classroom dialect: numbers and time stamps of frames.

use weir_proto::classroom::pack::{DATAGRAM_BYTES_MAX, RECEIVE_BYTES_USUAL, is_oversize};
use weir_proto::rtp::RtpTime;
use weir_proto::rtp::pack::Packed;
use weir_time::Utc;

use super::Shard;
use super::feed::Feed;
use super::slab::Slab;
use super::state::State;
use super::viewer::{Cursor, Phase, Viewer, Way};
use crate::ring::Slot;

impl Shard {
    /// Whether a viewer is being sent frames: it plays, and has not got everything.
    pub(crate) fn is_playing(&self, id: usize) -> bool {
        self.state.borrow().viewers.get(id).is_some_and(|viewer| viewer.phase == Phase::Playing)
    }
}

impl State {
    pub(super) fn set_utc(&mut self, utc: Utc) {
        // Modulo 2^32, as every RTP time stamp.
        self.unix_s = (utc.as_nanos() / 1_000_000_000) as u32;
    }

    /// Gives what is sent next its time stamp, if the viewer speaks the dialect.
    pub(super) fn stamp(&mut self, id: usize) {
        let time = RtpTime(self.unix_s);
        if let Some(viewer) = self.viewers.get_mut(id).filter(|viewer| viewer.is_classroom()) {
            for track in viewer.tracks.iter_mut().flatten() {
                (track.first_offset, track.offset) = (time, time);
            }
        }
    }

    /// Up to which frame a viewer may be sent to. An image that no datagram holds is passed over
    /// with its number, so that the client sees it missing; a round ends before each.
    pub(super) fn classroom_until(&mut self, id: usize, until: u64) -> u64 {
        self.stamp(id);
        let feeds = &self.feeds;
        let Some(viewer) = self.viewers.get_mut(id).filter(|viewer| viewer.is_classroom()) else {
            return until;
        };
        while viewer.cursor.slot < until && viewer.is_unsendable(feeds, viewer.cursor.slot) {
            viewer.cursor = Cursor { slot: viewer.cursor.slot + 1, piece: 0 };
            viewer.sent.images_dropped += 1;
            for track in viewer.tracks.iter_mut().flatten() {
                track.seq = track.seq.plus(1);
            }
            if viewer.sent.images_dropped == 1 {
                tracing::warn!(
                    "viewer {} at {} does not get all images of {:?}: a datagram holds \
                     {DATAGRAM_BYTES_MAX} bytes, and some are larger or cannot be read",
                    viewer.number,
                    viewer.peer,
                    viewer.stream,
                );
            }
        }
        let mut ahead = viewer.cursor.slot..until;
        ahead.find(|number| viewer.is_unsendable(feeds, *number)).unwrap_or(until)
    }

    /// Counts the images that many clients cannot take whole, among those sent to a viewer since
    /// it was at frame `from`.
    pub(super) fn count_oversize(&mut self, id: usize, from: u64) {
        let feeds = &self.feeds;
        let Some(viewer) = self.viewers.get_mut(id).filter(|viewer| viewer.is_classroom()) else {
            return;
        };
        let sent = (from..viewer.cursor.slot).filter_map(|number| viewer.slot(feeds, number));
        let images = sent.filter(|slot| !slot.wire.pieces.is_empty()).map(|slot| slot.bytes);
        let (mut count, mut largest) = (0, 0);
        for bytes in images.filter(|bytes| is_oversize(*bytes)) {
            count += 1;
            largest = largest.max(bytes);
        }
        viewer.sent.oversize += count;
        if count > 0
            && let Some(tally) = self.tallies.get_mut(viewer.tally)
            && !std::mem::replace(&mut tally.oversize_said, true)
        {
            tracing::warn!(
                "{:?} has images of {largest} bytes and perhaps more: they are sent whole to \
                 classroom clients, of which many receive no more than {RECEIVE_BYTES_USUAL} \
                 bytes at once",
                viewer.stream,
            );
        }
    }
}

impl Viewer {
    /// Whether it speaks the classroom dialect.
    pub(crate) fn is_classroom(&self) -> bool {
        self.way == Way::Classroom
    }

    /// Whether a frame is one of this viewer's images, and too large to be sent.
    fn is_unsendable(&self, feeds: &Slab<Feed>, number: u64) -> bool {
        let is_set_up = |slot: &Slot<Packed>| {
            self.tracks.get(usize::from(slot.track.0)).is_some_and(Option::is_some)
        };
        self.slot(feeds, number).is_some_and(|slot| is_set_up(slot) && slot.wire.pieces.is_empty())
    }
}
