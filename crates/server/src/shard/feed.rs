//! Feeds: a shard's view of the live streams that its viewers watch.

use std::sync::Arc;
use std::time::Duration;

use weir_net::Doorbell;
use weir_proto::rtp::pack::Packed;
use weir_time::Instant;

use crate::live::Live;
use crate::packing::Packing;
use crate::ring::Window;

/// One live stream in one packing, with this shard's viewers of it.
pub(crate) struct Feed {
    pub(crate) live: Arc<Live>,
    pub(crate) packing: Packing,
    pub(crate) window: Window<Packed>,
    pub(crate) viewers: Vec<usize>,
    /// Everything before this was given to the viewers.
    delivered: u64,
    /// Sound is waiting for a picture until then.
    pub(crate) sound_due: Option<Instant>,
}

/// How long sound that is due waits for the next picture, to go in the same write.
pub(crate) const SOUND_WAIT: Duration = Duration::from_millis(20);

/// Sound that is due so soon after a picture goes with it: what is left would be due too long
/// before the next one to wait for that.
pub(crate) const SOUND_AHEAD: Duration = Duration::from_millis(14);

/// What a feed's shard is to do with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing new.
    Nothing,
    /// Visit the viewers.
    Deliver,
    /// Come back at this time.
    Wait(Instant),
}

impl Feed {
    pub(crate) fn new(live: &Arc<Live>, packing: Packing, bell: &Doorbell, key: u64) -> Self {
        live.ring(packing).subscribe(bell, key);
        let mut feed = Feed {
            live: Arc::clone(live),
            packing,
            window: Window::default(),
            viewers: Vec::new(),
            delivered: 0,
            sound_due: None,
        };
        feed.sync();
        feed.delivered = feed.window.head();
        feed
    }

    fn sync(&mut self) {
        self.live.ring(self.packing).sync(&mut self.window);
    }

    /// Takes in what the stream has brought.
    pub(crate) fn advance(&mut self, now: Instant) -> Step {
        self.sync();
        let head = self.window.head();
        if self.delivered >= head && !self.window.closed {
            return Step::Nothing;
        }
        let new = self.delivered.max(self.window.base())..head;
        let has_picture = new.clone().any(|n| self.window.get(n).is_some_and(|slot| slot.picture));
        let waits = self.has_pictures() && !has_picture && !self.window.closed;
        if waits && self.sound_due.is_none_or(|due| now < due) {
            let due = *self.sound_due.get_or_insert(now + SOUND_WAIT);
            return Step::Wait(due);
        }
        self.delivered = head;
        self.sound_due = None;
        Step::Deliver
    }

    /// Frames of the stream so far.
    pub(crate) fn frames(&self) -> u64 {
        self.window.head()
    }

    fn has_pictures(&self) -> bool {
        self.live.tracks().iter().any(|track| track.codec.kind() == weir_media::Kind::Video)
    }
}
